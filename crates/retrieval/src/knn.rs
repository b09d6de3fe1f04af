//! Exact nearest neighbors by cosine similarity.
//!
//! Every score is computed (a blocked matrix product), none is kept beyond its tile but the best k of each query: no index,
//! no approximation, memory set by the caller. Where the queries are the gallery itself, each product serves two queries.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::candidates::CandidateBlock;
use crate::error::{Result, RetrievalError};
use crate::neighbor::Neighbor;
use crate::scores::{columns_reaching, columns_reaching_either};
use crate::tiles::{self, BLOCK, Tile};

/// Settings of an exact search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnnConfig {
    /// How many neighbors each query gets; all of the gallery if it has fewer. Default 10.
    pub k: usize,
    /// Bound on what the search allocates: its result (8 bytes a neighbor), candidates and tiles, but not the embeddings,
    /// which the caller already holds. Default 1 GiB.
    ///
    /// More memory than the least saves time in a self-search, where all queries at once can share the products.
    pub max_memory_bytes: usize,
}

impl Default for KnnConfig {
    fn default() -> Self {
        Self { k: 10, max_memory_bytes: 1 << 30 }
    }
}

/// The neighbors of each query, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbors {
    /// Each `[queries_per_block, k]`, the last one perhaps shorter.
    blocks: Vec<Vec<Neighbor>>,
    queries_per_block: usize,
    queries: usize,
    k: usize,
}

impl Neighbors {
    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries
    }

    /// Whether there is no query.
    pub fn is_empty(&self) -> bool {
        self.queries == 0
    }

    /// Neighbors of each query: the configured k, or the size of the gallery (without the query itself) if that is less.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The neighbors of a query, best first, ties in order of index.
    ///
    /// # Panics
    /// If `query` is not below [`len`](Self::len), as indexing a slice does.
    pub fn row(&self, query: usize) -> &[Neighbor] {
        let from = query % self.queries_per_block * self.k;
        &self.blocks[query / self.queries_per_block][from..from + self.k]
    }

    /// The rows of [`row`](Self::row), in the order of the queries.
    pub fn rows(&self) -> impl Iterator<Item = &[Neighbor]> {
        (0..self.queries).map(|query| self.row(query))
    }
}

/// The nearest neighbors of every row among all other rows.
///
/// A row is left out of its own neighbors because it is the same row, not because it is at distance zero: a duplicate is
/// found like anything else.
///
/// # Errors
/// `k` of zero, fewer than two rows, or a memory setting that cannot hold the result and one tile.
///
/// # Example
/// ```
/// use kinsight_retrieval::{KnnConfig, UnitEmbeddings, search_self};
///
/// let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.1], 2)?;
/// let neighbors = search_self(&embeddings, &KnnConfig { k: 1, ..KnnConfig::default() })?;
/// assert_eq!(neighbors.row(0)[0].index(), 2);
/// # Ok::<(), kinsight_retrieval::RetrievalError>(())
/// ```
pub fn search_self(embeddings: &UnitEmbeddings, config: &KnnConfig) -> Result<Neighbors> {
    if embeddings.len() < 2 {
        return Err(RetrievalError::Empty { what: "the gallery without the query" });
    }
    let plan = Plan::new(embeddings.len(), embeddings.len() - 1, embeddings.dim(), true, config)?;
    if !plan.symmetric {
        return search_in_groups(embeddings, embeddings, true, &plan);
    }
    let states: Vec<_> = tiles::blocks(embeddings.len(), BLOCK)
        .iter()
        .map(|range| Mutex::new(CandidateBlock::new(range.len(), plan.k, plan.capacity)))
        .collect();
    tiles::for_each_symmetric_tile(embeddings, &states, plan.workers, |rows, columns, tile, hits| match columns {
        Some(columns) => offer_both(rows, columns, tile, hits),
        None => offer_rows(rows, tile, true, hits),
    });
    Ok(Neighbors { blocks: rank(states), queries_per_block: BLOCK, queries: embeddings.len(), k: plan.k })
}

/// The nearest neighbors of every query in a gallery.
///
/// # Errors
/// `k` of zero, an empty gallery, widths that differ, or a memory setting that cannot hold the result and one tile.
pub fn search(queries: &UnitEmbeddings, gallery: &UnitEmbeddings, config: &KnnConfig) -> Result<Neighbors> {
    if queries.dim() != gallery.dim() {
        return Err(RetrievalError::WidthMismatch { queries: queries.dim(), gallery: gallery.dim() });
    }
    if gallery.is_empty() {
        return Err(RetrievalError::Empty { what: "the gallery" });
    }
    let plan = Plan::new(queries.len(), gallery.len(), gallery.dim(), false, config)?;
    search_in_groups(queries, gallery, false, &plan)
}

/// Sizes of a search, from the sizes of its input and the memory setting alone.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    k: usize,
    /// Candidates kept for a query between two selections.
    capacity: usize,
    /// Whether all queries are in work at once and share products.
    symmetric: bool,
    queries_per_block: usize,
    /// Queries in work at once, when not all are.
    queries_per_group: usize,
    workers: usize,
}

impl Plan {
    fn new(queries: usize, candidates: usize, dim: usize, of_itself: bool, config: &KnnConfig) -> Result<Self> {
        if config.k == 0 {
            return Err(RetrievalError::Setting { name: "k", found: "0".to_owned(), expected: "at least 1" });
        }
        let k = config.k.min(candidates);
        // A buffer beyond k saves selections; twice k is the point of diminishing returns.
        let roomy = (k + k.max(64)).min(candidates + 1);
        let tight = (k + (k / 4).max(32)).min(candidates + 1);
        let bytes = |queries: usize, capacity| queries.saturating_mul(CandidateBlock::bytes_per_query(capacity));
        let one_worker = tiles::bytes_per_worker(dim);
        let allowed = config.max_memory_bytes;

        let left = allowed.saturating_sub(rayon::current_num_threads().saturating_mul(one_worker));
        let affordable = left / queries.max(1) / size_of::<Neighbor>();
        let capacity = roomy.min(affordable.saturating_sub(1));
        if of_itself && capacity >= tight {
            let workers = tiles::workers(allowed, bytes(queries, capacity), one_worker)?;
            let (queries_per_block, queries_per_group) = (BLOCK, queries);
            return Ok(Self { k, capacity, symmetric: true, queries_per_block, queries_per_group, workers });
        }

        let result = queries.saturating_mul(k * size_of::<Neighbor>());
        let left = allowed.saturating_sub(result).saturating_sub(one_worker);
        let affordable = left / CandidateBlock::bytes_per_query(roomy);
        if affordable == 0 {
            let needed = result.saturating_add(one_worker).saturating_add(bytes(1, roomy));
            return Err(RetrievalError::Memory { allowed, needed });
        }
        let queries_per_block = affordable.min(BLOCK);
        // Sixteen blocks are enough to keep many threads from waiting for each other.
        let queries_per_group = (affordable / queries_per_block).min(16) * queries_per_block;
        let workers = tiles::workers(allowed, result.saturating_add(bytes(queries_per_group, roomy)), one_worker)?;
        Ok(Self { k, capacity: roomy, symmetric: false, queries_per_block, queries_per_group, workers })
    }
}

fn search_in_groups(
    queries: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    of_itself: bool,
    plan: &Plan,
) -> Result<Neighbors> {
    let ranges = tiles::blocks(queries.len(), plan.queries_per_block);
    let mut ranked = Vec::with_capacity(ranges.len());
    for group in ranges.chunks((plan.queries_per_group / plan.queries_per_block).max(1)) {
        let states = new_states(group, plan);
        tiles::for_each_tile(queries, group, gallery, &states, plan.workers, |state, tile, hits| {
            offer_rows(state, tile, of_itself, hits);
        });
        ranked.extend(rank(states));
    }
    let queries_per_block = plan.queries_per_block;
    Ok(Neighbors { blocks: ranked, queries_per_block, queries: queries.len(), k: plan.k })
}

fn new_states(ranges: &[Range<usize>], plan: &Plan) -> Vec<Mutex<CandidateBlock>> {
    ranges.iter().map(|range| Mutex::new(CandidateBlock::new(range.len(), plan.k, plan.capacity))).collect()
}

fn offer_rows(state: &mut CandidateBlock, tile: &Tile<'_>, of_itself: bool, hits: &mut [u32]) {
    for (row, query) in tile.rows.clone().enumerate() {
        let scores = tile.row(row);
        let found = columns_reaching(scores, state.bars()[row], hits);
        for &column in &hits[..found] {
            let index = tile.columns.start + column as usize;
            if !(of_itself && index == query) {
                state.offer(row, index, scores[column as usize]);
            }
        }
    }
}

/// One walk through the tile serves its rows and its columns.
fn offer_both(rows: &mut CandidateBlock, columns: &mut CandidateBlock, tile: &Tile<'_>, hits: &mut [u32]) {
    for (row, query) in tile.rows.clone().enumerate() {
        let scores = tile.row(row);
        let found = columns_reaching_either(scores, rows.bars()[row], columns.bars(), hits);
        for &column in &hits[..found] {
            let score = scores[column as usize];
            rows.offer(row, tile.columns.start + column as usize, score);
            columns.offer(column as usize, query, score);
        }
    }
}

fn rank(states: Vec<Mutex<CandidateBlock>>) -> Vec<Vec<Neighbor>> {
    states
        .into_par_iter()
        .map(|state| state.into_inner().unwrap_or_else(PoisonError::into_inner).into_ranked())
        .collect()
}
