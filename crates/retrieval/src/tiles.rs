//! Walks the matrix of all scores in tiles, on all threads, without ever holding more than a few tiles of it.
//!
//! What is made of the scores (the best k, the ranks of the relevant items, a histogram) is kept in one state for each
//! block of rows, which only the thread that has the block's tile in hand may touch. All uses of tiles here keep states that
//! do not depend on the order in which tiles arrive, and a score does not depend on the tile it is computed in; so every
//! result is independent of the number of threads and of the memory setting.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};
use crate::scores::score_tile;

/// Rows and columns of a tile: large enough that packing is a small part of the product, small enough for a cache.
pub(crate) const BLOCK: usize = 512;

/// What one thread needs: the tile, its list of hits, and the packed right side of the matrix product.
pub(crate) fn bytes_per_worker(dim: usize) -> usize {
    (BLOCK * BLOCK + BLOCK + BLOCK.saturating_mul(dim)).saturating_mul(size_of::<f32>())
}

/// The scores of a run of rows with a run of columns.
pub(crate) struct Tile<'a> {
    /// Rows of the left side (queries).
    pub rows: Range<usize>,
    /// Rows of the right side (gallery).
    pub columns: Range<usize>,
    scores: &'a [f32],
}

impl Tile<'_> {
    /// Scores of the `row`-th row of the tile with all its columns.
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.columns.len();
        &self.scores[row * width..(row + 1) * width]
    }
}

/// The ranges of `len` rows cut in blocks of `block`.
pub(crate) fn blocks(len: usize, block: usize) -> Vec<Range<usize>> {
    (0..len).step_by(block).map(|start| start..(start + block).min(len)).collect()
}

/// How many threads may work at once within `max_memory_bytes`, each taking `each_bytes`, in addition to `other_bytes`.
///
/// # Errors
/// If there is no room for one.
pub(crate) fn workers(max_memory_bytes: usize, other_bytes: usize, each_bytes: usize) -> Result<usize> {
    match max_memory_bytes.saturating_sub(other_bytes) / each_bytes {
        0 => {
            let needed = other_bytes.saturating_add(each_bytes);
            Err(RetrievalError::Memory { allowed: max_memory_bytes, needed })
        }
        workers => Ok(workers.min(rayon::current_num_threads())),
    }
}

/// Visits each pair of blocks of one set of rows once.
///
/// Scores are symmetric, so a tile off the diagonal serves the queries of both of its sides: half of the products are
/// saved. `states` holds one state for each block of [`BLOCK`] rows; `visit` gets the state of the tile's rows and, off the
/// diagonal, that of its columns, and a scratch list as long as a row.
pub(crate) fn for_each_symmetric_tile<S: Send>(
    embeddings: &UnitEmbeddings,
    states: &[Mutex<S>],
    workers: usize,
    visit: impl Fn(&mut S, Option<&mut S>, &Tile<'_>, &mut [u32]) + Sync,
) {
    let count = states.len();
    let range = |block: usize| block * BLOCK..((block + 1) * BLOCK).min(embeddings.len());
    work_off(count * (count + 1) / 2, workers, |tile, scores, hits| {
        // Round d pairs block i with block i + d, cyclically: neighboring tiles share no block, so threads do not wait.
        let (i, j) = (tile % count, (tile % count + tile / count) % count);
        let (i, j) = (i.min(j), i.max(j));
        let tile = compute(embeddings, range(i), embeddings, range(j), scores);
        // Locks are taken in the order of the blocks, so two threads cannot wait for each other.
        let mut row_state = lock(&states[i]);
        if i == j {
            visit(&mut row_state, None, &tile, hits);
        } else {
            visit(&mut row_state, Some(&mut lock(&states[j])), &tile, hits);
        }
    });
}

/// Visits all tiles of some blocks of queries with the whole gallery.
///
/// `queries_in` holds the ranges of at most [`BLOCK`] queries, `states` one state for each of them.
pub(crate) fn for_each_tile<S: Send>(
    queries: &UnitEmbeddings,
    queries_in: &[Range<usize>],
    gallery: &UnitEmbeddings,
    states: &[Mutex<S>],
    workers: usize,
    visit: impl Fn(&mut S, &Tile<'_>, &mut [u32]) + Sync,
) {
    let columns = blocks(gallery.len(), BLOCK);
    work_off(queries_in.len() * columns.len(), workers, |tile, scores, hits| {
        // Neighboring tiles share the gallery block and differ in the query block.
        let (query_block, gallery_block) = (tile % queries_in.len(), tile / queries_in.len());
        let tile = compute(queries, queries_in[query_block].clone(), gallery, columns[gallery_block].clone(), scores);
        visit(&mut lock(&states[query_block]), &tile, hits);
    });
}

fn compute<'a>(
    left: &UnitEmbeddings,
    rows: Range<usize>,
    right: &UnitEmbeddings,
    columns: Range<usize>,
    scores: &'a mut [f32],
) -> Tile<'a> {
    let scores = &mut scores[..rows.len() * columns.len()];
    score_tile(left.rows(rows.clone()), right.rows(columns.clone()), left.dim(), scores);
    Tile { rows, columns, scores }
}

/// Hands out the numbers below `count` in order to `workers` threads, each with a scratch tile and a scratch list.
fn work_off(count: usize, workers: usize, work: impl Fn(usize, &mut [f32], &mut [u32]) + Sync) {
    let next = AtomicUsize::new(0);
    rayon::scope(|scope| {
        for _ in 0..workers.min(count) {
            scope.spawn(|_| {
                let mut scores = vec![0.0; BLOCK * BLOCK];
                let mut hits = vec![0; BLOCK];
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= count {
                        break;
                    }
                    work(item, &mut scores, &mut hits);
                }
            });
        }
    });
}

/// A panic elsewhere propagates through the scope anyway, so a poisoned state is never read afterwards.
fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(len: usize) -> UnitEmbeddings {
        UnitEmbeddings::new((0..len * 2).map(|i| (i as f32 * 0.7).sin() + 1.5).collect(), 2).unwrap()
    }

    #[test]
    fn every_pair_of_blocks_is_visited_once() {
        for len in [1, BLOCK, 2 * BLOCK, 2 * BLOCK + 1, 5 * BLOCK - 3, 6 * BLOCK] {
            let embeddings = rows(len);
            let states: Vec<_> = blocks(len, BLOCK).iter().map(|_| Mutex::new(Vec::new())).collect();
            for_each_symmetric_tile(&embeddings, &states, 3, |left, right, tile, _| {
                left.push(tile.columns.start / BLOCK);
                if let Some(right) = right {
                    right.push(tile.rows.start / BLOCK);
                }
            });
            for state in states.iter() {
                let mut seen = state.lock().unwrap().clone();
                seen.sort_unstable();
                assert_eq!(seen, (0..states.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn tiles_cover_queries_times_gallery() {
        let (queries, gallery) = (rows(70), rows(BLOCK + 9));
        let ranges = blocks(70, 32);
        let states: Vec<_> = ranges.iter().map(|_| Mutex::new(0)).collect();
        for_each_tile(&queries, &ranges, &gallery, &states, 2, |count, tile, _| {
            *count += tile.rows.len() * tile.row(0).len();
        });
        let counts: Vec<usize> = states.into_iter().map(|state| state.into_inner().unwrap()).collect();
        assert_eq!(counts, [32, 32, 6].map(|queries| queries * gallery.len()));
    }

    #[test]
    fn the_number_of_workers_fits_the_memory() {
        let each = bytes_per_worker(32);
        assert!(
            matches!(workers(100, 7, each), Err(RetrievalError::Memory { allowed: 100, needed }) if needed == each + 7)
        );
        assert_eq!(workers(each + 5, 5, each).unwrap(), 1);
        assert!(workers(each + 4, 5, each).is_err());
        assert_eq!(workers(usize::MAX, 0, each).unwrap(), rayon::current_num_threads());
    }
}
