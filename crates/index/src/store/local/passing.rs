//! A filter as the set of rows that pass it, from the catalog's columns.
//!
//! Must agree with [`Filter::matches`] on the payload; a property test holds the two together.

use roaring::RoaringBitmap;
use rusqlite::{OptionalExtension, params};

use super::catalog::{Catalog, value};
use super::snapshot::View;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::filter::{Comparison, Condition, Filter, Literal};
use crate::payload::{Value, fields};

/// Values between two looks at whether the search was cancelled.
const VALUES_A_LOOK: usize = 4096;

/// The rows of points that pass `filter`.
pub(super) fn passing(catalog: &Catalog, view: &View, filter: &Filter, cancel: &Cancel) -> Result<RoaringBitmap> {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..view.rows.len() as u32);
    all -= &view.tombstones;
    Evaluation { catalog, view, cancel }.among(&all, filter)
}

struct Evaluation<'a> {
    catalog: &'a Catalog,
    view: &'a View,
    cancel: &'a Cancel,
}

impl Evaluation<'_> {
    /// The rows of `candidates` that pass: what an earlier part of the filter has decided is not asked again.
    fn among(&self, candidates: &RoaringBitmap, filter: &Filter) -> Result<RoaringBitmap> {
        self.cancel.check()?;
        if candidates.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        match filter {
            Filter::All(parts) => {
                parts.iter().try_fold(candidates.clone(), |passing_all, part| self.among(&passing_all, part))
            }
            Filter::Any(parts) => {
                let mut undecided = candidates.clone();
                for part in parts {
                    undecided -= self.among(&undecided, part)?;
                }
                Ok(candidates - undecided)
            }
            Filter::Not(inner) => Ok(candidates - self.among(candidates, inner)?),
            Filter::Field { name, condition } => self.of_condition(candidates, name, condition),
        }
    }

    fn of_condition(&self, candidates: &RoaringBitmap, name: &str, condition: &Condition) -> Result<RoaringBitmap> {
        let name_id: Option<i64> = self.catalog.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT name_id FROM field_names WHERE name = ?1")?;
            statement.query_row([name], |row| row.get(0)).optional()
        })?;
        let Some(name_id) = name_id else {
            return Ok(if *condition == Condition::Missing { candidates.clone() } else { RoaringBitmap::new() });
        };
        let found = match condition {
            Condition::Missing => return Ok(candidates - self.with_value(name_id, "", None)?),
            // Roots are stored by number: what their folders are is asked of each.
            _ if name == fields::ROOT => self.scanned(candidates, name_id, condition, true)?,
            Condition::Like(_) => self.scanned(candidates, name_id, condition, false)?,
            Condition::In(values) => values.iter().try_fold(RoaringBitmap::new(), |found, value| {
                Ok::<_, crate::IndexError>(found | self.compared(name_id, Comparison::Equal, value)?)
            })?,
            Condition::Compare(comparison, value) => self.compared(name_id, *comparison, value)?,
        };
        Ok(found & candidates)
    }

    /// Numbers compare with numbers and texts with texts; in SQLite's order every number stands before every text, and the
    /// empty text is the first of them.
    fn compared(&self, name_id: i64, comparison: Comparison, value: &Literal) -> Result<RoaringBitmap> {
        let (of_texts, of_numbers) = match comparison {
            Comparison::Equal => ("AND value = ?2", "AND value = ?2"),
            Comparison::Less => ("AND value >= '' AND value < ?2", "AND value < ?2"),
            Comparison::LessOrEqual => ("AND value >= '' AND value <= ?2", "AND value <= ?2"),
            Comparison::Greater => ("AND value > ?2", "AND value > ?2 AND value < ''"),
            Comparison::GreaterOrEqual => ("AND value >= ?2", "AND value >= ?2 AND value < ''"),
        };
        let texts = self.with_value(name_id, of_texts, Some(&Value::from(value.text())))?;
        let Some(number) = value.number() else { return Ok(texts) };
        Ok(texts | self.with_value(name_id, of_numbers, Some(&Value::Number(number)))?)
    }

    fn with_value(&self, name_id: i64, condition: &str, value: Option<&Value>) -> Result<RoaringBitmap> {
        let mut found = Vec::new();
        self.catalog.read(|connection| {
            let sql = format!("SELECT slot FROM field_values WHERE name_id = ?1 {condition}");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = match value {
                Some(value) => statement.query(params![name_id, value])?,
                None => statement.query([name_id])?,
            };
            while let Some(row) = rows.next()? {
                found.push(row.get::<_, u32>(0)?);
            }
            Ok(())
        })?;
        self.cancel.check()?;
        Ok(found.into_iter().collect())
    }

    /// Asks the condition of each distinct value, which come together because values are in order.
    fn scanned(
        &self,
        candidates: &RoaringBitmap,
        name_id: i64,
        condition: &Condition,
        are_roots: bool,
    ) -> Result<RoaringBitmap> {
        let mut found = Vec::new();
        self.catalog.read(|connection| {
            let sql = "SELECT value, slot FROM field_values WHERE name_id = ?1 ORDER BY value";
            let mut statement = connection.prepare_cached(sql)?;
            let mut values = statement.query([name_id])?;
            let mut last: Option<(Value, bool)> = None;
            let mut looked_at = 0_usize;
            while let Some(row) = values.next()? {
                looked_at += 1;
                if looked_at.is_multiple_of(VALUES_A_LOOK) && self.cancel.is_cancelled() {
                    break;
                }
                let slot = row.get(1)?;
                if !candidates.contains(slot) {
                    continue;
                }
                let same = |known: &Value| match (known, row.get_ref(0)) {
                    (Value::Text(known), Ok(value)) => value.as_str().is_ok_and(|value| value == known),
                    (Value::Number(known), Ok(rusqlite::types::ValueRef::Real(value))) => *known == value,
                    _ => false,
                };
                let holds = match &last {
                    Some((known, holds)) if same(known) => *holds,
                    _ => {
                        let value = value(row, 0)?;
                        let shown = if are_roots { self.view.roots.folder_of(&value) } else { value.clone() };
                        let holds = condition.holds(Some(&shown));
                        last = Some((value, holds));
                        holds
                    }
                };
                if holds {
                    found.push(slot);
                }
            }
            Ok(())
        })?;
        self.cancel.check()?;
        Ok(found.into_iter().collect())
    }
}
