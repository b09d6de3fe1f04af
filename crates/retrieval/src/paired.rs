//! Two models on the same queries: what each query scores, and whether a difference of means is more than chance.
//!
//! Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; paired, since the same query is
//! easy or hard for both.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Interval;

/// What one query scores when it searches the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QueryScore {
    /// 1 if the nearest gallery item is of the query's class, else 0.
    pub recall_at_1: f64,
    /// MAP@R; none if the gallery holds nothing of the query's class.
    pub map_at_r: Option<f64>,
}

/// A difference of two means over the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedDifference {
    /// Mean of the first less mean of the second.
    pub mean: f64,
    /// Where it lies over the resamples.
    pub interval: Interval,
}

impl PairedDifference {
    /// Whether the interval leaves out zero.
    pub fn is_real(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }
}

/// The mean of `differences`, one a query, with the interval of the percentile bootstrap that holds `confidence` of it.
pub fn paired_bootstrap(differences: &[f64], resamples: usize, confidence: f64, seed: u64) -> PairedDifference {
    let count = differences.len();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count.max(1) as f64;
    if count == 0 {
        let nothing = Interval { low: f64::NAN, high: f64::NAN };
        return PairedDifference { mean: f64::NAN, interval: nothing };
    }
    let mut means: Vec<f64> = (0..resamples)
        .into_par_iter()
        .map(|resample| {
            // A stream for each resample makes the draws independent of the threads.
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(resample as u64);
            mean(&mut (0..count).map(|_| differences[rng.random_range(0..count)]))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get(((means.len().max(1) - 1) as f64 * share).round() as usize).copied();
    let tail = (1.0 - confidence) / 2.0;
    let interval = Interval { low: at(tail).unwrap_or(f64::NAN), high: at(1.0 - tail).unwrap_or(f64::NAN) };
    PairedDifference { mean: mean(&mut differences.iter().copied()), interval }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvalConfig, UnitEmbeddings, evaluate_roles};

    #[test]
    fn means_of_query_scores_are_the_metrics() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let values: Vec<f32> = (0..40 * 6).map(|_| rng.random::<f32>() - 0.5).collect();
        let labels: Vec<i64> = (0..40).map(|i| if i == 39 { 99 } else { i % 5 }).collect();
        let embeddings = UnitEmbeddings::new(values, 6).unwrap();
        let everything: Vec<usize> = (0..40).collect();
        // Every item searches the others; queries and gallery apart; a query that is in the gallery, too.
        for (queries, gallery) in [(0..40, 0..40), (0..12, 12..40), (0..30, 8..40)] {
            let (queries, gallery) = (&everything[queries], &everything[gallery]);
            let found = evaluate_roles(&embeddings, &labels, queries, gallery, &EvalConfig::default()).unwrap();
            let scores = &found.query_scores;
            assert_eq!(scores.len(), queries.len());
            let recall = scores.iter().map(|s| s.recall_at_1).sum::<f64>() / queries.len() as f64;
            assert!((recall - found.recall_at(1).unwrap()).abs() < 1e-12);
            let maps: Vec<f64> = scores.iter().filter_map(|s| s.map_at_r).collect();
            assert_eq!(maps.len(), queries.len() - found.queries_without_reference);
            assert!((maps.iter().sum::<f64>() / maps.len() as f64 - found.map_at_r()).abs() < 1e-12);
        }
    }

    #[test]
    fn a_steady_difference_is_real_and_noise_is_not() {
        let steady: Vec<f64> = (0..200).map(|i| 0.1 + 0.2 * f64::from(i % 2)).collect();
        let found = paired_bootstrap(&steady, 1000, 0.95, 0);
        assert!(found.is_real() && (found.mean - 0.2).abs() < 1e-12, "{found:?}");
        assert!((found.interval.low - (0.2 - 1.96 * 0.1 / 200f64.sqrt())).abs() < 3e-3, "{found:?}");
        let noise: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert!(!paired_bootstrap(&noise, 1000, 0.95, 0).is_real());
        assert!(!paired_bootstrap(&[], 10, 0.95, 0).is_real());
    }
}
