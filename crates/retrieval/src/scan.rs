//! Exact search of a few queries among many rows that the caller holds, such as a memory-mapped file.
//!
//! [`search`](crate::search) is for many queries: it packs the gallery for a matrix product. For one query that packing
//! costs more than the products, and a gallery of gigabytes should not be copied at all. Here the rows are read once, in
//! order, by all threads, for up to [`QUERIES_AT_ONCE`] queries together; memory is a few candidates per thread.
//!
//! The ranking is that of the rest of this crate: by inner product in `f64`, ties to the lower row. Fast scores find
//! candidates with a margin of twice their error bound, and only those are computed again.

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};
use crate::scores::{exact_score, fast_score, score_error_bound};

/// Rows that one task reads; constant, so that tasks do not depend on the number of threads.
const ROWS_A_TASK: usize = 4096;

/// Queries that share one pass over the rows: as many as fit the first-level cache with a row.
pub const QUERIES_AT_ONCE: usize = 8;

/// One answer: a row and its inner product with the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Which row.
    pub row: u32,
    /// Cosine similarity, exact to `f64`.
    pub score: f64,
}

/// The best `k` of the rows that `keep` lets through, for each query, best first; fewer if fewer are kept.
///
/// # Shapes
/// `queries` `[m, dim]`, `rows` `[n, dim]` row-major, unit length.
///
/// # Errors
/// `k` of zero, a number of values that is not a multiple of the queries' width, or more rows than a 32-bit index can name.
///
/// # Example
/// ```
/// use kinsight_retrieval::{UnitEmbeddings, scan};
///
/// let queries = UnitEmbeddings::new(vec![1.0, 0.0], 2)?;
/// let rows = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0];
/// let found = scan::scan(&queries, &rows, 1, &|row| row != 0)?;
/// assert_eq!(found[0][0].row, 1);
/// # Ok::<(), kinsight_retrieval::RetrievalError>(())
/// ```
pub fn scan(
    queries: &UnitEmbeddings,
    rows: &[f32],
    k: usize,
    keep: &(dyn Fn(u32) -> bool + Sync),
) -> Result<Vec<Vec<Found>>> {
    let dim = queries.dim();
    let count = check(dim, rows, k)?;
    let starts: Vec<usize> = (0..count).step_by(ROWS_A_TASK).collect();
    let mut found = Vec::with_capacity(queries.len());
    for first in (0..queries.len()).step_by(QUERIES_AT_ONCE) {
        let group = first..(first + QUERIES_AT_ONCE).min(queries.len());
        let candidates = starts
            .par_iter()
            .map(|&start| {
                let mut best: Vec<Best> = group.clone().map(|_| Best::new(k, dim)).collect();
                let end = (start + ROWS_A_TASK).min(count);
                for (row, values) in (start as u32..).zip(rows[start * dim..end * dim].chunks_exact(dim)) {
                    if keep(row) {
                        for (best, query) in best.iter_mut().zip(group.clone()) {
                            best.offer(row, fast_score(queries.row(query), values));
                        }
                    }
                }
                best
            })
            .reduce(|| group.clone().map(|_| Best::new(k, dim)).collect(), merge);
        for (best, query) in candidates.into_iter().zip(group) {
            let candidates: Vec<u32> = best.into_candidates();
            found.push(rank(queries.row(query), rows, &candidates, k));
        }
    }
    Ok(found)
}

/// Candidates up to which [`rescore`] computes every exact score at once.
const FEW_CANDIDATES: usize = 256;

/// The best `k` of `candidates` for one query, best first, in exact order: what an approximate search found, or the rows that
/// pass a filter.
///
/// # Errors
/// As [`scan`], and a candidate out of range.
pub fn rescore(query: &[f32], rows: &[f32], candidates: &[u32], k: usize) -> Result<Vec<Found>> {
    let count = check(query.len(), rows, k)?;
    if let Some(row) = candidates.iter().find(|&&row| row as usize >= count) {
        let expected = "rows of the embeddings";
        return Err(RetrievalError::Setting { name: "candidates", found: row.to_string(), expected });
    }
    if candidates.len() <= FEW_CANDIDATES {
        return Ok(rank(query, rows, candidates, k));
    }
    let mut best = Best::new(k, query.len());
    for &row in candidates {
        best.offer(row, fast_score(query, &rows[row as usize * query.len()..][..query.len()]));
    }
    Ok(rank(query, rows, &best.into_candidates(), k))
}

fn check(dim: usize, rows: &[f32], k: usize) -> Result<usize> {
    if k == 0 {
        return Err(RetrievalError::Setting { name: "k", found: "0".to_owned(), expected: "at least 1" });
    }
    if dim == 0 || !rows.len().is_multiple_of(dim) {
        return Err(RetrievalError::Shape { values: rows.len(), dim });
    }
    let count = rows.len() / dim;
    if count > u32::MAX as usize {
        return Err(RetrievalError::TooManyRows { rows: count, limit: u32::MAX as usize });
    }
    Ok(count)
}

fn rank(query: &[f32], rows: &[f32], candidates: &[u32], k: usize) -> Vec<Found> {
    let dim = query.len();
    let mut found: Vec<Found> = candidates
        .iter()
        .map(|&row| Found { row, score: exact_score(query, &rows[row as usize * dim..][..dim]) })
        .collect();
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    found.truncate(k);
    found
}

/// All rows that may be among the best k: those whose fast score lies within the margin of the k-th best.
struct Best {
    k: usize,
    margin: f32,
    bar: f32,
    candidates: Vec<(f32, u32)>,
    /// How many candidates are gathered before those below the bar are dropped.
    full: usize,
}

impl Best {
    fn new(k: usize, dim: usize) -> Self {
        let margin = 2.0 * score_error_bound(dim);
        Self { k, margin, bar: f32::NEG_INFINITY, candidates: Vec::new(), full: 2 * k + 64 }
    }

    fn offer(&mut self, row: u32, score: f32) {
        if score < self.bar {
            return;
        }
        self.candidates.push((score, row));
        if self.candidates.len() >= self.full {
            self.drop_those_behind();
        }
    }

    fn drop_those_behind(&mut self) {
        if self.candidates.len() <= self.k {
            return;
        }
        let (_, kth, _) = self.candidates.select_nth_unstable_by(self.k - 1, |a, b| b.0.total_cmp(&a.0));
        self.bar = kth.0 - self.margin;
        self.candidates.retain(|&(score, _)| score >= self.bar);
        // Many rows as good as the k-th (copies of one image) must not make every further one a selection.
        self.full = self.full.max(2 * self.candidates.len());
    }

    fn into_candidates(mut self) -> Vec<u32> {
        self.drop_those_behind();
        self.candidates.into_iter().map(|(_, row)| row).collect()
    }
}

fn merge(mut left: Vec<Best>, right: Vec<Best>) -> Vec<Best> {
    for (left, right) in left.iter_mut().zip(right) {
        for (score, row) in right.candidates {
            left.offer(row, score);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(values: Vec<f32>, dim: usize) -> UnitEmbeddings {
        UnitEmbeddings::new(values, dim).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Small integers make many ties, which must go to the lower row.
        #[test]
        fn equals_a_full_sort(
            rows in prop::collection::vec(prop::array::uniform3(-2_i8..3), 1..200),
            queries in prop::collection::vec(prop::array::uniform3(-2_i8..3), 1..20),
            k in 1_usize..30,
            skipped in 1_u32..7,
        ) {
            let floats = |rows: &[[i8; 3]]| {
                let rows = rows.iter().flat_map(|row| if *row == [0; 3] { [1, 0, 0] } else { *row });
                unit(rows.map(f32::from).collect(), 3)
            };
            let (rows, queries) = (floats(&rows), floats(&queries));
            let keep = |row: u32| !row.is_multiple_of(skipped);
            let found = scan(&queries, rows.as_slice(), k, &keep).unwrap();
            for (query, found) in found.iter().enumerate() {
                let mut sorted: Vec<Found> = (0..rows.len() as u32)
                    .filter(|&row| keep(row))
                    .map(|row| Found { row, score: exact_score(queries.row(query), rows.row(row as usize)) })
                    .collect();
                sorted.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
                sorted.truncate(k);
                prop_assert_eq!(found, &sorted);
            }
        }
    }

    #[test]
    fn many_tasks_agree_with_one_search() {
        let (n, dim) = (3 * ROWS_A_TASK + 17, 24);
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.4;
        let rows = unit((0..n * dim).map(value).collect(), dim);
        let queries = unit((0..11 * dim).map(|i| value(i * 31 + 5)).collect(), dim);
        let config = crate::KnnConfig { k: 20, ..crate::KnnConfig::default() };
        let expected = crate::search(&queries, &rows, &config).unwrap();
        let found = scan(&queries, rows.as_slice(), 20, &|_| true).unwrap();
        for (found, expected) in found.iter().zip(expected.rows()) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found.score - f64::from(expected.score())).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn rescoring_many_rows_is_scanning_those() {
        let (n, dim) = (2000, 24);
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.4;
        let rows = unit((0..n * dim).map(value).collect(), dim);
        let query = unit((0..dim).map(|i| value(i * 31 + 5)).collect(), dim);
        for step in [1, 3, 40] {
            let candidates: Vec<u32> = (0..n as u32).step_by(step).collect();
            let expected = scan(&query, rows.as_slice(), 20, &|row| row.is_multiple_of(step as u32)).unwrap();
            assert_eq!(rescore(query.row(0), rows.as_slice(), &candidates, 20).unwrap(), expected[0]);
        }
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let queries = unit(vec![1.0, 0.0], 2);
        assert!(scan(&queries, &[1.0, 0.0, 1.0], 1, &|_| true).is_err());
        assert!(scan(&queries, &[1.0, 0.0], 0, &|_| true).is_err());
        assert!(rescore(&[1.0, 0.0], &[1.0, 0.0], &[1], 1).is_err());
        assert!(scan(&queries, &[], 3, &|_| true).unwrap()[0].is_empty());
    }
}
