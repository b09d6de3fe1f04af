//! Histograms of the similarity of all pairs, those of one class apart from those of two.
//!
//! What is said of pairs (verification, geometry of the embedding) looks at their similarities' distribution. There are n
//! squared of them; a histogram fine enough for any use takes a fixed megabyte instead.

use std::sync::{Mutex, PoisonError};

use crate::UnitEmbeddings;
use crate::classes::Relevance;
use crate::error::Result;
use crate::tiles::{self, BLOCK, Tile};

/// Bins over [-1, 1]; each is 2^-15 wide, so a similarity is known to 1.5e-5.
const BINS: usize = 1 << 16;

/// How many pairs have which cosine similarity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairHistogram {
    /// Pairs of the same class, by similarity ascending.
    genuine: Vec<u64>,
    /// Pairs of different classes.
    impostor: Vec<u64>,
}

impl PairHistogram {
    /// Bytes of one histogram.
    const BYTES: usize = 2 * BINS * size_of::<u64>();

    fn new() -> Self {
        Self { genuine: vec![0; BINS], impostor: vec![0; BINS] }
    }

    /// Adds a pair of one class (`genuine`) or of two.
    fn add(&mut self, similarity: f32, genuine: bool) {
        let bin = ((similarity + 1.0) * (BINS / 2) as f32) as usize;
        let side = if genuine { &mut self.genuine } else { &mut self.impostor };
        side[bin.min(BINS - 1)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = ([&mut self.genuine, &mut self.impostor], [&other.genuine, &other.impostor]);
        for (mine, theirs) in mine.into_iter().zip(theirs) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    /// Number of pairs of the same class.
    pub fn genuine_pairs(&self) -> u64 {
        self.genuine.iter().sum()
    }

    /// Number of pairs of different classes.
    pub fn impostor_pairs(&self) -> u64 {
        self.impostor.iter().sum()
    }

    /// For each bin that holds a pair, by similarity ascending: the similarity of its lower edge and of its middle, and its
    /// genuine and impostor pairs.
    pub(crate) fn bins(&self) -> impl DoubleEndedIterator<Item = Bin> {
        self.genuine
            .iter()
            .zip(&self.impostor)
            .enumerate()
            .filter(|(_, (genuine, impostor))| **genuine + **impostor > 0)
            .map(|(bin, (&genuine, &impostor))| {
                let edge = |bin: f64| bin / (BINS / 2) as f64 - 1.0;
                Bin { lower: edge(bin as f64), middle: edge(bin as f64 + 0.5), genuine, impostor }
            })
    }

    /// Counts in `bars` equal steps over [-1, 1] of similarity, (genuine, impostor): the histogram to draw.
    pub fn coarse(&self, bars: usize) -> Vec<(u64, u64)> {
        let mut coarse = vec![(0, 0); bars];
        for bin in self.bins() {
            let bar = ((bin.middle + 1.0) / 2.0 * bars as f64) as usize;
            if let Some(bar) = coarse.get_mut(bar) {
                bar.0 += bin.genuine;
                bar.1 += bin.impostor;
            }
        }
        coarse
    }
}

/// Pairs of nearly the same similarity.
pub(crate) struct Bin {
    pub lower: f64,
    pub middle: f64,
    pub genuine: u64,
    pub impostor: u64,
}

/// Counts all pairs: each unordered pair of two items once, or each query with each gallery item.
///
/// # Errors
/// If `max_memory_bytes` does not hold a tile and two histograms.
pub(crate) fn pair_histogram(
    queries: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    relevance: &Relevance,
    max_memory_bytes: usize,
) -> Result<PairHistogram> {
    // Each worker holds a histogram while it counts a tile; they are summed in one more.
    let each_bytes = tiles::bytes_per_worker(gallery.dim()).saturating_add(PairHistogram::BYTES);
    let workers = tiles::workers(max_memory_bytes, PairHistogram::BYTES, each_bytes)?;
    let idle: Mutex<Vec<PairHistogram>> = Mutex::new(Vec::new());
    let count = |tile: &Tile<'_>, diagonal: bool| {
        let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut histogram = taken.unwrap_or_else(PairHistogram::new);
        for (row, query) in tile.rows.clone().enumerate() {
            let from = if diagonal { row + 1 } else { 0 };
            for (&score, item) in tile.row(row)[from..].iter().zip(tile.columns.start + from..) {
                if !relevance.is_query_itself(query, item) {
                    histogram.add(score, relevance.is_same_class(query, item));
                }
            }
        }
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(histogram);
    };
    let blocks = tiles::blocks(queries.len(), BLOCK);
    let states: Vec<Mutex<()>> = blocks.iter().map(|_| Mutex::new(())).collect();
    if relevance.is_of_itself() {
        tiles::for_each_symmetric_tile(queries, &states, workers, |_, columns, tile, _| count(tile, columns.is_none()));
    } else {
        tiles::for_each_tile(queries, &blocks, gallery, &states, workers, |_, tile, _| count(tile, false));
    }
    let mut total = PairHistogram::new();
    for histogram in idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
        total.merge(&histogram);
    }
    Ok(total)
}

/// A histogram of given similarities, for worked examples.
#[cfg(test)]
pub(crate) fn histogram_of(genuine: &[f32], impostor: &[f32]) -> PairHistogram {
    let mut histogram = PairHistogram::new();
    genuine.iter().for_each(|&similarity| histogram.add(similarity, true));
    impostor.iter().for_each(|&similarity| histogram.add(similarity, false));
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_pair_once() {
        let rows = 2 * BLOCK + 30;
        let values = (0..rows * 3).map(|i| ((i * i) as f32 * 0.7).sin() + 0.1).collect();
        let embeddings = UnitEmbeddings::new(values, 3).unwrap();
        let labels: Vec<i64> = (0..rows as i64).map(|row| row % 5).collect();
        let relevance = Relevance::of_itself(&labels);
        let histogram = pair_histogram(&embeddings, &embeddings, &relevance, 1 << 30).unwrap();
        let of_class: u64 = (0..5)
            .map(|class| labels.iter().filter(|&&label| label == class).count() as u64)
            .map(|n| n * (n - 1) / 2)
            .sum();
        assert_eq!(histogram.genuine_pairs(), of_class);
        assert_eq!(histogram.impostor_pairs(), (rows * (rows - 1) / 2) as u64 - of_class);
        assert_eq!(histogram.coarse(10).iter().map(|(a, b)| a + b).sum::<u64>(), (rows * (rows - 1) / 2) as u64);

        let relevance = Relevance::new(&labels[..40], &labels);
        let queries = embeddings.select(&(0..40).collect::<Vec<_>>()).unwrap();
        let tight = 2 * PairHistogram::BYTES + tiles::bytes_per_worker(3);
        let histogram = pair_histogram(&queries, &embeddings, &relevance, tight).unwrap();
        assert_eq!(histogram.genuine_pairs() + histogram.impostor_pairs(), 40 * rows as u64);
        assert!(pair_histogram(&queries, &embeddings, &relevance, tight - 1).is_err());
    }

    #[test]
    fn extreme_similarities_have_a_bin() {
        let mut histogram = PairHistogram::new();
        for similarity in [-1.000_001, -1.0, 1.0, 1.000_001] {
            histogram.add(similarity, true);
        }
        let bins: Vec<(f64, u64)> = histogram.bins().map(|bin| (bin.lower, bin.genuine)).collect();
        assert_eq!(bins, [(-1.0, 2), (1.0 - 2.0 / BINS as f64, 2)]);
    }
}
