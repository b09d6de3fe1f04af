//! Confidence intervals of means over queries, by the percentile bootstrap.
//!
//! Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// What is drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BootstrapUnit {
    /// Queries: how far the figure would move with other photos of these classes.
    Query,
    /// Classes with all their queries: how far it would move with other classes. Wider, and the honest one where
    /// the claim is about classes not seen in training.
    Class,
}

/// Settings of the bootstrap.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapConfig {
    /// How often to draw. Default 1000.
    pub resamples: usize,
    /// What to draw. Default classes.
    pub unit: BootstrapUnit,
    /// Share of resamples within the interval, in (0, 1). Default 0.95.
    pub confidence: f64,
    /// Seed of the draws. Default 0.
    pub seed: u64,
}

impl Default for BootstrapConfig {
    fn default() -> Self {
        Self { resamples: 1000, unit: BootstrapUnit::Class, confidence: 0.95, seed: 0 }
    }
}

/// An interval around a mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Sums of several metrics over the queries of one unit, and the number of queries in each sum.
pub(crate) type UnitSums = Box<[(f64, f64)]>;

/// The interval of each metric's mean, from its sums over the units.
pub(crate) fn intervals(units: &[UnitSums], config: &BootstrapConfig) -> Vec<Interval> {
    let metrics = units.first().map_or(0, |unit| unit.len());
    let means: Vec<Vec<f64>> = (0..config.resamples)
        .into_par_iter()
        .map(|resample| {
            // A stream for each resample makes the draws independent of the threads.
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(resample as u64);
            let mut totals = vec![(0.0, 0.0); metrics];
            for _ in 0..units.len() {
                for (total, sum) in totals.iter_mut().zip(&units[rng.random_range(0..units.len())]) {
                    total.0 += sum.0;
                    total.1 += sum.1;
                }
            }
            // A draw without any query to average says nothing and is left out.
            totals.into_iter().map(|(sum, count)| if count > 0.0 { sum / count } else { f64::NAN }).collect()
        })
        .collect();
    (0..metrics)
        .map(|metric| {
            let mut values: Vec<f64> =
                means.iter().map(|means| means[metric]).filter(|value| !value.is_nan()).collect();
            values.sort_by(f64::total_cmp);
            let tail = (1.0 - config.confidence) / 2.0;
            Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) }
        })
        .collect()
}

/// The quantile of sorted values, linear between neighbors; NaN if there is none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_that_of_the_binomial() {
        // 1000 queries, 300 of them right: the standard error is sqrt(0.3 * 0.7 / 1000) = 0.01449.
        let units: Vec<UnitSums> = (0..1000).map(|i| Box::new([(f64::from(i % 10 < 3), 1.0)]) as UnitSums).collect();
        let config = BootstrapConfig { resamples: 4000, ..BootstrapConfig::default() };
        let interval = intervals(&units, &config)[0];
        assert!((interval.low - (0.3 - 1.96 * 0.01449)).abs() < 2e-3, "{interval:?}");
        assert!((interval.high - (0.3 + 1.96 * 0.01449)).abs() < 2e-3, "{interval:?}");
        assert_eq!(intervals(&units, &config)[0], interval);
    }

    #[test]
    fn quantiles_of_four() {
        let sorted = [1.0, 2.0, 3.0, 5.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&sorted, share)), [1.0, 2.5, 5.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
