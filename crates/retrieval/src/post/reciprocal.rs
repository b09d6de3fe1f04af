//! k-reciprocal re-ranking: two items are alike if they are among each other's neighbors, and their neighborhoods overlap.
//!
//! ```text
//! d*(q, g) = (1 - lambda) (1 - sum_i min(V_qi, V_gi) / sum_i max(V_qi, V_gi)) + lambda d(q, g)
//! ```
//! V_q weighs q's k-reciprocal neighbors (and theirs) by exp(-d), sums to one, and is averaged over q's k2 nearest. Source:
//! Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding" (2017), with its k1 = 20, k2 = 6, lambda =
//! 0.3. Differs from the source: d = 1 - cos, where the source divides squared distances by the largest of each row.
//!
//! Blocked: neighborhoods are sparse, one query's distances at a time are dense. Memory grows with the number of items times
//! k1 * k2, not with its square.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::classes::Relevance;
use crate::error::{Result, RetrievalError};
use crate::evaluation::{EvalConfig, Evaluation, Judge, Scored};
use crate::knn::{KnnConfig, Neighbors, search_self};
use crate::metrics::Ranking;
use crate::scores::score_tile;

/// Queries whose similarities to all items are computed in one product.
const BLOCK: usize = 64;

/// Settings of the re-ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct ReciprocalConfig {
    /// Neighbors that may be reciprocal. Default 20.
    pub k1: usize,
    /// Neighbors over which neighborhoods are averaged, the item itself counted. Default 6.
    pub k2: usize,
    /// Weight of the original distance, in [0, 1]. Default 0.3.
    pub lambda: f64,
}

impl Default for ReciprocalConfig {
    fn default() -> Self {
        Self { k1: 20, k2: 6, lambda: 0.3 }
    }
}

/// Evaluates the re-ranked results of the rows `queries` in the rows `gallery`; a row that is both is left out of its own
/// results. Computes only metrics of rankings.
///
/// # Errors
/// Settings out of range, fewer than two rows, a number of labels other than that of rows, an index out of range, and no query
/// with a relevant item.
pub fn evaluate_k_reciprocal(
    embeddings: &UnitEmbeddings,
    labels: &[i64],
    queries: &[usize],
    gallery: &[usize],
    reciprocal: &ReciprocalConfig,
    config: &EvalConfig,
) -> Result<Evaluation> {
    let rows = embeddings.len();
    if labels.len() != rows {
        return Err(RetrievalError::LabelCount { what: "embeddings", rows, labels: labels.len() });
    }
    if let Some(row) = queries.iter().chain(gallery).find(|&&row| row >= rows) {
        let found = row.to_string();
        return Err(RetrievalError::Setting { name: "row", found, expected: "a row of the embeddings" });
    }
    if reciprocal.k1 == 0 || reciprocal.k2 == 0 || !(0.0..=1.0).contains(&reciprocal.lambda) {
        let found = format!("{reciprocal:?}");
        return Err(RetrievalError::Setting { name: "k-reciprocal", found, expected: "k1, k2 >= 1, lambda in 0 to 1" });
    }
    let (query_labels, relevance) = Relevance::of_roles(labels, queries, gallery);
    let judge = Judge::new(&relevance, config)?;
    let knn = KnnConfig { k: reciprocal.k1.max(reciprocal.k2), max_memory_bytes: config.max_memory_bytes };
    let neighborhoods = Neighborhoods::new(&search_self(embeddings, &knn)?, reciprocal);

    let blocks: Vec<Vec<Scored>> = queries
        .par_chunks(BLOCK)
        .enumerate()
        .map(|(block, block_queries)| {
            let asking: Vec<f32> = block_queries.iter().flat_map(|&row| embeddings.row(row)).copied().collect();
            let mut similarities = vec![0.0; block_queries.len() * rows];
            score_tile(&asking, embeddings.as_slice(), embeddings.dim(), &mut similarities);
            let mut overlaps = vec![0.0_f32; rows];
            block_queries
                .iter()
                .zip(similarities.chunks_exact(rows))
                .enumerate()
                .map(|(within, (&row, similarities))| {
                    overlaps.fill(0.0);
                    neighborhoods.overlaps(row, &mut overlaps);
                    let distance = |item: usize| -> f64 {
                        let overlap = f64::from(overlaps[item]);
                        let jaccard = 1.0 - overlap / (2.0 - overlap);
                        let original = 1.0 - f64::from(similarities[item]);
                        (1.0 - reciprocal.lambda) * jaccard + reciprocal.lambda * original
                    };
                    let query = block * BLOCK + within;
                    let ranks = ranks(&relevance, query, gallery, distance);
                    judge.score(&Ranking { ranks: &ranks, relevant: ranks.len() })
                })
                .collect()
        })
        .collect();
    judge.summarize(blocks.into_iter().flatten().collect(), gallery.len(), &query_labels)
}

/// Ranks of the relevant items by distance, ties to the lower place in the gallery.
fn ranks(relevance: &Relevance, query: usize, gallery: &[usize], distance: impl Fn(usize) -> f64) -> Vec<u32> {
    let mut relevant: Vec<(f64, u32)> =
        relevance.relevant(query).map(|item| (distance(gallery[item as usize]), item)).collect();
    relevant.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut passed = vec![0_u32; relevant.len() + 1];
    for (item, &row) in (0_u32..).zip(gallery) {
        if relevance.is_same_class(query, item as usize) {
            continue;
        }
        let distance = distance(row);
        passed[relevant.partition_point(|&(d, i)| d < distance || d == distance && i < item)] += 1;
    }
    let mut rank = 0;
    passed[..relevant.len()]
        .iter()
        .map(|passed| {
            rank += passed + 1;
            rank
        })
        .collect()
}

/// The sparse vectors V of all items, and which items each of their entries occurs in.
struct Neighborhoods {
    /// Entries (item, weight) of each item, by item.
    of: Vec<Vec<(u32, f32)>>,
    /// Items (with their weight) in whose neighborhood an item is.
    holders: Vec<Vec<(u32, f32)>>,
}

impl Neighborhoods {
    fn new(neighbors: &Neighbors, config: &ReciprocalConfig) -> Self {
        let rows = neighbors.len();
        let nearest = |row: usize, k: usize| {
            std::iter::once(row as u32).chain(neighbors.row(row).iter().take(k).map(|n| n.index()))
        };
        let reciprocal = |row: usize, k: usize| -> Vec<u32> {
            nearest(row, k).filter(|&other| nearest(other as usize, k).any(|back| back as usize == row)).collect()
        };
        // Python's round, as the source's numpy.around(k1 / 2).
        let half = (config.k1 as f64 / 2.0).round_ties_even() as usize;
        let plain: Vec<Vec<(u32, f32)>> = (0..rows)
            .into_par_iter()
            .map(|row| {
                let own = reciprocal(row, config.k1);
                let mut members = own.clone();
                for &candidate in &own {
                    let theirs = reciprocal(candidate as usize, half);
                    let shared = theirs.iter().filter(|item| own.contains(item)).count();
                    if shared as f64 > 2.0 / 3.0 * theirs.len() as f64 {
                        members.extend(theirs);
                    }
                }
                members.sort_unstable();
                members.dedup();
                let similarity = |item: u32| {
                    let found = neighbors.row(row).iter().find(|neighbor| neighbor.index() == item);
                    found.map_or(if item as usize == row { 1.0 } else { 0.0 }, |neighbor| f64::from(neighbor.score()))
                };
                let weights: Vec<f64> = members.iter().map(|&item| (similarity(item) - 1.0).exp()).collect();
                let total: f64 = weights.iter().sum();
                members.into_iter().zip(weights).map(|(item, weight)| (item, (weight / total) as f32)).collect()
            })
            .collect();
        let of: Vec<Vec<(u32, f32)>> = (0..rows)
            .into_par_iter()
            .map(|row| {
                let group: Vec<u32> = nearest(row, config.k2 - 1).collect();
                let mut sum: BTreeMap<u32, f32> = BTreeMap::new();
                for &member in &group {
                    for &(item, weight) in &plain[member as usize] {
                        *sum.entry(item).or_default() += weight / group.len() as f32;
                    }
                }
                sum.into_iter().collect()
            })
            .collect();
        let mut holders: Vec<Vec<(u32, f32)>> = vec![Vec::new(); rows];
        for (row, entries) in (0_u32..).zip(&of) {
            for &(item, weight) in entries {
                holders[item as usize].push((row, weight));
            }
        }
        Self { of, holders }
    }

    /// Adds `sum_i min(V_row,i, V_other,i)` for every other item.
    fn overlaps(&self, row: usize, overlaps: &mut [f32]) {
        for &(item, weight) in &self.of[row] {
            for &(holder, other) in &self.holders[item as usize] {
                overlaps[holder as usize] += weight.min(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::evaluate_self;

    /// Three arcs of a circle; every second row is a little off, so that borders mix.
    fn arcs(each: usize) -> (UnitEmbeddings, Vec<i64>) {
        let row = |i: usize| {
            let (arc, place) = (i % 3, (i / 3) as f32 / each as f32);
            let angle = arc as f32 * 2.1 + place * 1.9 + (i as f32 * 12.9898).sin() * 0.08;
            [angle.cos(), angle.sin(), 0.3 * (i as f32 * 0.7).sin()]
        };
        let values = (0..3 * each).flat_map(row).collect();
        (UnitEmbeddings::new(values, 3).unwrap(), (0..3 * each as i64).map(|i| i % 3).collect())
    }

    #[test]
    fn lambda_one_is_the_plain_ranking() {
        let (embeddings, labels) = arcs(40);
        let all: Vec<usize> = (0..labels.len()).collect();
        let reciprocal = ReciprocalConfig { lambda: 1.0, ..ReciprocalConfig::default() };
        let config = EvalConfig { full_ranking: true, ..EvalConfig::default() };
        let found = evaluate_k_reciprocal(&embeddings, &labels, &all, &all, &reciprocal, &config).unwrap();
        let plain = evaluate_self(&embeddings, &labels, &config).unwrap();
        for (name, value) in &plain.metrics {
            assert!((found.metrics[name] - value).abs() < 2e-3, "{name}: {value} and {}", found.metrics[name]);
        }
    }

    #[test]
    fn worked_example() {
        // Items 0 and 1 are each other's nearest; 2 has 1 as its nearest, which is not returned; 3 and 4 form a pair.
        let angles = [0.0_f32, 0.1, 0.25, 2.0, 2.05];
        let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let embeddings = UnitEmbeddings::new(values, 2).unwrap();
        let neighbors = search_self(&embeddings, &KnnConfig { k: 1, ..KnnConfig::default() }).unwrap();
        let config = ReciprocalConfig { k1: 1, k2: 1, lambda: 0.0 };
        let found = Neighborhoods::new(&neighbors, &config);
        let members = |row: usize| found.of[row].iter().map(|(item, _)| *item).collect::<Vec<_>>();
        assert_eq!([members(0), members(1), members(2), members(3)], [vec![0, 1], vec![0, 1], vec![2], vec![3, 4]]);
        // V_0 is (a, b) on items 0, 1 and V_1 is (b, a) with b / a = exp(cos 0.1 - 1): the overlap is 2 b.
        let mut overlaps = vec![0.0; 5];
        found.overlaps(0, &mut overlaps);
        let ratio = (f64::from(0.1_f32.cos()) - 1.0).exp();
        assert!((f64::from(overlaps[1]) - 2.0 * ratio / (1.0 + ratio)).abs() < 1e-6);
        assert!((overlaps[0] - 1.0).abs() < 1e-6 && overlaps[2..] == [0.0, 0.0, 0.0]);
    }

    #[test]
    fn threads_do_not_matter_and_roles_do() {
        let (embeddings, labels) = arcs(50);
        let all: Vec<usize> = (0..labels.len()).collect();
        let run = |threads, queries: &[usize]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let config = EvalConfig::default();
            pool.install(|| {
                evaluate_k_reciprocal(&embeddings, &labels, queries, &all, &ReciprocalConfig::default(), &config)
            })
        };
        assert_eq!(run(1, &all).unwrap(), run(4, &all).unwrap());
        assert_eq!(run(2, &all[..30]).unwrap().queries, 30);
        assert!(run(1, &[999]).is_err());
    }
}
