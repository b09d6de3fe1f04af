//! One search: which rows may answer, exactly or by the graph, and the payloads of the answers.

use std::sync::{Arc, PoisonError};

use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::scan::{Found, rescore, scan};

use super::slots::SlotSet;
use super::{LocalStore, View, columns};
use crate::error::{IndexError, Result};
use crate::filter::Filter;
use crate::store::{Hit, SearchMethod, VectorQuery};

/// Filters whose rows are remembered while nothing is written.
const FILTERS_KEPT: usize = 8;

/// Where fewer rows than this pass a filter, comparing all of them costs less than walking the graph among rows most of
/// which may not answer.
const FEW_ROWS: usize = 30_000;

pub(super) fn search(store: &LocalStore, view: &View, query: &VectorQuery) -> Result<Vec<Vec<Hit>>> {
    if query.k == 0 {
        return Err(IndexError::setting("k", 0, "at least 1"));
    }
    let dim = view.rows.dim();
    if query.vectors.is_empty() || !query.vectors.len().is_multiple_of(dim) {
        return Err(IndexError::Width { what: "a query".to_owned(), found: query.vectors.len(), expected: dim });
    }
    let queries = UnitEmbeddings::new(query.vectors.clone(), dim)?;
    let allowed = query.filter.as_ref().map(|filter| store.filtered(view, filter)).transpose()?;
    let excluded: Vec<u32> =
        store.catalog().by_ids(&query.exclude)?.into_iter().flatten().map(|(slot, _)| slot).collect();
    let keep = |row: u32| {
        allowed.as_ref().is_none_or(|allowed| allowed.contains(row))
            && !view.dead.contains(row)
            && !excluded.contains(&row)
    };
    let found = match plan(store, view, query, allowed.as_deref()) {
        Plan::Few(rows) => {
            let rows: Vec<u32> = rows.iter().filter(|&row| keep(row)).collect();
            let one = |q| rescore(queries.row(q), view.rows.values(), &rows, query.k);
            (0..queries.len()).map(one).collect::<kinsight_retrieval::Result<_>>()?
        }
        Plan::All => scan(&queries, view.rows.values(), query.k, &keep)?,
        Plan::Graph(expansion) => by_graph(view, &queries, query.k, expansion, &keep)?,
    };
    found.into_iter().map(|found| hits(store, view, &found, query.with_vectors)).collect()
}

enum Plan<'a> {
    /// Compare the few rows that pass the filter.
    Few(&'a SlotSet),
    /// Compare all rows.
    All,
    /// Walk the graph with this many candidates.
    Graph(usize),
}

fn plan<'a>(store: &LocalStore, view: &View, query: &VectorQuery, allowed: Option<&'a SlotSet>) -> Plan<'a> {
    if let Some(allowed) = allowed
        && allowed.count() <= FEW_ROWS.max(view.rows.len() / 64)
    {
        return Plan::Few(allowed);
    }
    let Some(graph) = &view.graph else { return Plan::All };
    match query.method {
        SearchMethod::Exact => Plan::All,
        SearchMethod::Auto if view.rows.values().len() <= store.settings().exact_values => Plan::All,
        SearchMethod::Auto | SearchMethod::Graph { expansion: 0 } => Plan::Graph(graph.stats().expansion_search),
        SearchMethod::Graph { expansion } => Plan::Graph(expansion),
    }
}

/// The graph's candidates and the rows it does not cover yet, in exact order.
fn by_graph(
    view: &View,
    queries: &UnitEmbeddings,
    k: usize,
    expansion: usize,
    keep: &(dyn Fn(u32) -> bool + Sync),
) -> Result<Vec<Vec<Found>>> {
    let Some(graph) = &view.graph else { return Ok(scan(queries, view.rows.values(), k, keep)?) };
    let covered = graph.stats().rows;
    let newer = scan(queries, &view.rows.values()[covered * view.rows.dim()..], k, &|row| keep(covered as u32 + row))?;
    (0..queries.len())
        .map(|q| {
            let query = queries.row(q);
            let mut candidates = graph.candidates(query, expansion.max(k), keep);
            candidates.extend(newer[q].iter().map(|found| covered as u32 + found.row));
            Ok(rescore(query, view.rows.values(), &candidates, k)?)
        })
        .collect()
}

fn hits(store: &LocalStore, view: &View, found: &[Found], with_vectors: bool) -> Result<Vec<Hit>> {
    let slots: Vec<u32> = found.iter().map(|found| found.row).collect();
    let entries = store.catalog().by_slots(&slots)?;
    // A point that another writer took out since the view was taken is no answer.
    let hit = |(found, entry): (&Found, Option<_>)| {
        entry.map(|(id, payload)| Hit {
            id,
            score: found.score as f32,
            payload,
            vector: with_vectors.then(|| view.rows.get(found.row).unwrap_or_default().to_vec()),
        })
    };
    Ok(found.iter().zip(entries).filter_map(hit).collect())
}

impl LocalStore {
    /// The rows that pass `filter`, remembered for the next time.
    pub(super) fn filtered(&self, view: &View, filter: &Filter) -> Result<Arc<SlotSet>> {
        let mut known = view.filtered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rows)) = known.iter().find(|(known, _)| known == filter) {
            return Ok(rows.clone());
        }
        let rows = Arc::new(columns::passing(&self.catalog(), filter, view.rows.len())?);
        if known.len() == FILTERS_KEPT {
            known.remove(0);
        }
        known.push((filter.clone(), rows.clone()));
        Ok(rows)
    }
}
