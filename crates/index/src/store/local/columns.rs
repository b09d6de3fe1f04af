//! A filter as the set of rows that pass it, from the catalog's columns.
//!
//! Must agree with [`Filter::matches`] on the payload; a property test holds the two together.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use super::catalog::Catalog;
use super::slots::SlotSet;
use crate::error::Result;
use crate::filter::{Comparison, Condition, Filter, Literal};
use crate::payload::Value;

/// The rows below `rows` whose points pass `filter`. Dead rows may be among them, as a negation cannot tell.
pub(super) fn passing(catalog: &Catalog, filter: &Filter, rows: usize) -> Result<SlotSet> {
    match filter {
        Filter::All(parts) => parts.iter().try_fold(SlotSet::full(rows), |passing_all, part| {
            if passing_all.count() == 0 {
                Ok(passing_all)
            } else {
                Ok(passing_all.intersect(&passing(catalog, part, rows)?))
            }
        }),
        Filter::Any(parts) => parts
            .iter()
            .try_fold(SlotSet::empty(rows), |passing_any, part| Ok(passing_any.union(&passing(catalog, part, rows)?))),
        Filter::Not(inner) => Ok(passing(catalog, inner, rows)?.complement()),
        Filter::Field { name, condition } => of_condition(catalog, name, condition, rows),
    }
}

fn of_condition(catalog: &Catalog, name: &str, condition: &Condition, rows: usize) -> Result<SlotSet> {
    let name_id: Option<i64> = catalog.read(|connection| {
        let mut statement = connection.prepare_cached("SELECT name_id FROM field_names WHERE name = ?1")?;
        statement.query_row([name], |row| row.get(0)).optional()
    })?;
    let Some(name_id) = name_id else {
        return Ok(if *condition == Condition::Missing { SlotSet::full(rows) } else { SlotSet::empty(rows) });
    };
    match condition {
        Condition::Missing => Ok(with_value(catalog, "", name_id, None, rows)?.complement()),
        Condition::Like(_) => scanned(catalog, name_id, condition, rows),
        Condition::In(values) => values.iter().try_fold(SlotSet::empty(rows), |found, value| {
            Ok(found.union(&compared(catalog, name_id, Comparison::Equal, value, rows)?))
        }),
        Condition::Compare(comparison, value) => compared(catalog, name_id, *comparison, value, rows),
    }
}

/// Numbers compare with numbers and texts with texts; in SQLite's order every number stands before every text, and the
/// empty text is the first of them.
fn compared(catalog: &Catalog, name_id: i64, comparison: Comparison, value: &Literal, rows: usize) -> Result<SlotSet> {
    let (of_texts, of_numbers) = match comparison {
        Comparison::Equal => ("AND value = ?2", "AND value = ?2"),
        Comparison::Less => ("AND value >= '' AND value < ?2", "AND value < ?2"),
        Comparison::LessOrEqual => ("AND value >= '' AND value <= ?2", "AND value <= ?2"),
        Comparison::Greater => ("AND value > ?2", "AND value > ?2 AND value < ''"),
        Comparison::GreaterOrEqual => ("AND value >= ?2", "AND value >= ?2 AND value < ''"),
    };
    let texts = with_value(catalog, of_texts, name_id, Some(&Value::from(value.text())), rows)?;
    let Some(number) = value.number() else { return Ok(texts) };
    Ok(texts.union(&with_value(catalog, of_numbers, name_id, Some(&Value::Number(number)), rows)?))
}

fn with_value(catalog: &Catalog, condition: &str, name_id: i64, value: Option<&Value>, rows: usize) -> Result<SlotSet> {
    let mut found = SlotSet::empty(rows);
    catalog.read(|connection| {
        let sql = format!("SELECT slot FROM field_values WHERE name_id = ?1 {condition}");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut slots = match value {
            Some(value) => statement.query(params![name_id, value])?,
            None => statement.query([name_id])?,
        };
        while let Some(row) = slots.next()? {
            found.insert(row.get(0)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Asks the condition of each distinct value, which come together because values are in order.
fn scanned(catalog: &Catalog, name_id: i64, condition: &Condition, rows: usize) -> Result<SlotSet> {
    let mut found = SlotSet::empty(rows);
    catalog.read(|connection| {
        let mut statement =
            connection.prepare_cached("SELECT value, slot FROM field_values WHERE name_id = ?1 ORDER BY value")?;
        let mut values = statement.query([name_id])?;
        let mut last: Option<(Value, bool)> = None;
        while let Some(row) = values.next()? {
            let value = match row.get_ref(0)? {
                ValueRef::Real(number) => Value::Number(number),
                other => Value::Text(other.as_str()?.to_owned()),
            };
            let holds = match &last {
                Some((known, holds)) if *known == value => *holds,
                _ => condition.holds(Some(&value)),
            };
            if holds {
                found.insert(row.get(1)?);
            }
            last = Some((value, holds));
        }
        Ok(())
    })?;
    Ok(found)
}
