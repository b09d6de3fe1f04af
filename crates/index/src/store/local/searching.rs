//! One search: which rows may be hits, exactly or by the graph, and the payloads of the hits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::scan::{Found, rescore, scan};
use roaring::RoaringBitmap;

use super::graph::Graph;
use super::snapshot::Snapshot;
use crate::error::{IndexError, Result};
use crate::store::{Hit, SearchMethod, VectorQuery};

/// Where fewer rows than this pass a filter, comparing all of them costs less than an HNSW search among rows most of which
/// do not pass.
const FEW_ROWS: usize = 30_000;

/// Rows between two looks at whether the search was cancelled.
const ROWS_A_LOOK: u32 = 4096;

pub(super) fn search(snapshot: &Snapshot<'_>, exact_values: usize, query: &VectorQuery) -> Result<Vec<Vec<Hit>>> {
    if query.k == 0 {
        return Err(IndexError::setting("k", 0, "at least 1"));
    }
    let view = &snapshot.view;
    let (values, dim) = (view.rows.values(), view.rows.dim());
    if query.vectors.is_empty() || !query.vectors.len().is_multiple_of(dim) {
        return Err(IndexError::Width { what: "a query".to_owned(), found: query.vectors.len(), expected: dim });
    }
    let queries = UnitEmbeddings::new(query.vectors.clone(), dim)?;
    query.cancel.check()?;
    let allowed = query.filter.as_ref().map(|filter| snapshot.filtered(filter, &query.cancel)).transpose()?;
    let excluded = snapshot.catalog().rows_of(&query.exclude)?;
    let stopped = AtomicBool::new(false);
    let keep = |row: u32| {
        if row.is_multiple_of(ROWS_A_LOOK) && query.cancel.is_cancelled() {
            stopped.store(true, Ordering::Relaxed);
        }
        !stopped.load(Ordering::Relaxed)
            && allowed.as_ref().is_none_or(|allowed| allowed.contains(row))
            && !view.tombstones.contains(row)
            && !excluded.contains(&row)
    };
    let found = match plan(snapshot, exact_values, query, allowed.clone()) {
        Plan::Few(rows) => {
            let rows: Vec<u32> = rows.iter().filter(|row| !excluded.contains(row)).collect();
            let one = |q| {
                query.cancel.check()?;
                Ok(rescore(queries.row(q), values, &rows, query.k)?)
            };
            (0..queries.len()).map(one).collect::<Result<Vec<_>>>()?
        }
        Plan::All => scan(&queries, values, query.k, &keep)?,
        Plan::Graph(graph, ef) => by_graph(snapshot, graph, &queries, query, ef, &keep)?,
    };
    query.cancel.check()?;
    found.into_iter().map(|found| hits(snapshot, &found, query.with_vectors)).collect()
}

enum Plan<'a> {
    /// Compare the few rows that pass the filter.
    Few(Arc<RoaringBitmap>),
    /// Compare all rows.
    All,
    /// Search the graph with this ef.
    Graph(&'a Graph, usize),
}

fn plan<'a>(
    snapshot: &'a Snapshot<'_>,
    exact_values: usize,
    query: &VectorQuery,
    allowed: Option<Arc<RoaringBitmap>>,
) -> Plan<'a> {
    let view = &snapshot.view;
    if let Some(allowed) = allowed
        && allowed.len() as usize <= FEW_ROWS.max(view.rows.len() / 64)
    {
        return Plan::Few(allowed);
    }
    let Some(graph) = view.graph.as_deref().filter(|graph| graph.is_sound()) else { return Plan::All };
    match query.method {
        SearchMethod::Exact => Plan::All,
        SearchMethod::Auto if view.rows.values().len() <= exact_values => Plan::All,
        SearchMethod::Auto | SearchMethod::Graph { ef: 0 } => Plan::Graph(graph, graph.stats().ef),
        SearchMethod::Graph { ef } => Plan::Graph(graph, ef),
    }
}

/// The graph's candidates and the rows it does not cover yet, in exact order.
fn by_graph(
    snapshot: &Snapshot<'_>,
    graph: &Graph,
    queries: &UnitEmbeddings,
    query: &VectorQuery,
    ef: usize,
    keep: &(dyn Fn(u32) -> bool + Sync),
) -> Result<Vec<Vec<Found>>> {
    let rows = &snapshot.view.rows;
    let covered = graph.stats().rows;
    let newer = scan(queries, &rows.values()[covered * rows.dim()..], query.k, &|row| keep(covered as u32 + row))?;
    (0..queries.len())
        .map(|q| {
            query.cancel.check()?;
            let vector = queries.row(q);
            let mut candidates = graph.candidates(vector, ef.max(query.k), keep);
            candidates.extend(newer[q].iter().map(|found| covered as u32 + found.row));
            Ok(rescore(vector, rows.values(), &candidates, query.k)?)
        })
        .collect()
}

fn hits(snapshot: &Snapshot<'_>, found: &[Found], with_vectors: bool) -> Result<Vec<Hit>> {
    let entries = snapshot.catalog().by_rows(found.iter().map(|found| found.row))?;
    let hit = |(found, entry): (&Found, Option<super::catalog::Entry>)| {
        let rows = &snapshot.view.rows;
        // A row that is not a point has a tombstone; anything else is damage.
        let mut entry = entry.ok_or_else(|| {
            IndexError::corrupt(rows.path(), format!("the catalog has no image for row {}", found.row))
        })?;
        snapshot.view.roots.resolve(&mut entry.payload);
        let vector = if with_vectors { Some(rows.get(found.row)?.to_vec()) } else { None };
        Ok(Hit { id: entry.id, score: found.score as f32, payload: entry.payload, vector })
    };
    found.iter().zip(entries).map(hit).collect()
}
