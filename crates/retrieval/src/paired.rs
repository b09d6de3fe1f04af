//! Models on the same queries: by how much their means differ, and whether that is more than chance.
//!
//! The models saw none of the test classes, and a seed is one of many, so a claim about a method is a claim about other
//! classes and other seeds. Both count as drawn at random here, and the queries of a class, which are alike, do not count as
//! independent. The variance is that of drawing the classes and each model's seeds again, with replacement (Owen, "The
//! pigeonhole bootstrap", Annals of Applied Statistics 1, 2007), computed instead of drawn, with n - 1 for n:
//!
//! ```text
//! V_classes = C / (C - 1) * sum over classes of u_c^2         V_seeds = s_a^2 / S_a + s_b^2 / S_b
//! half of the interval = sqrt(t(C - 1)^2 V_classes + t(F)^2 V_seeds)
//! ```
//!
//! `u_c` is what class c adds to the difference beyond its share: models are compared on the same classes, hence paired.
//! `s^2` is the variance of a model's means over its S seeds, or that of all models pooled where it is larger; F is the number
//! of all seeds less that of the models; t is Student's quantile, and the squares add up as in Howe ("Approximate confidence
//! limits on the mean of X + Y", JASA 69, 1974).
//!
//! Percentiles of draws would not do: seeds are few. Of three seeds against three, they leave out zero at any level whenever
//! all of one side are ahead, a tenth of the time without any difference; and of two seeds, Welch's and Satterthwaite's degrees
//! of freedom do so twice as often as they should (`without_any_difference_one_comparison_in_twenty_claims_one`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bootstrap::Interval;
use crate::student_t::two_sided_quantile;

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
    /// Where the difference lies for other classes and seeds; none if there are fewer than two classes to tell by.
    pub interval: Option<Interval>,
    /// Whether there is an interval, and it leaves out zero.
    pub excludes_zero: bool,
}

/// What one model scores, for each of the seeds that it was trained with.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScores {
    /// `[seeds][queries]`, at least one seed.
    pub by_seed: Vec<Vec<f64>>,
    /// Whether another seed would give other scores; not so for a backbone as it comes.
    pub is_trained: bool,
}

/// The differences of every model with every earlier one: (1, 0), (2, 0), (2, 1), (3, 0) and so on.
///
/// Each interval is at the level `1 - (1 - confidence) / comparisons` (Bonferroni), so that all `comparisons` of them hold
/// together with probability `confidence`. Where no model has more than one seed, seeds are taken not to matter.
///
/// # Shapes
/// `classes` `[queries]`, one for each query of the models.
pub fn paired_differences(
    models: &[ModelScores],
    classes: &[i64],
    confidence: f64,
    comparisons: usize,
) -> Vec<PairedDifference> {
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (query, class) in classes.iter().enumerate() {
        members.entry(*class).or_default().push(query);
    }
    let summaries: Vec<Summary> = models.iter().map(|model| Summary::new(model, &members)).collect();
    let freedom: f64 = summaries.iter().map(|summary| (summary.seeds - 1.0).max(0.0)).sum();
    let squares: f64 = summaries.iter().map(|summary| summary.seed_squares).sum();
    let tails = (1.0 - confidence) / comparisons.max(1) as f64;
    let spread = Spread {
        of_seeds: if freedom > 0.0 { squares / freedom } else { 0.0 },
        t_seeds: if freedom > 0.0 { two_sided_quantile(freedom, tails) } else { 0.0 },
        t_classes: if members.len() > 1 { two_sided_quantile(members.len() as f64 - 1.0, tails) } else { f64::NAN },
    };
    let pairs =
        summaries.iter().enumerate().flat_map(|(i, first)| summaries[..i].iter().map(move |other| (first, other)));
    pairs.map(|(first, second)| first.less(second, &spread)).collect()
}

/// The mean of one model, and what classes and seeds make of it.
struct Summary {
    mean: f64,
    /// What each class adds to the mean beyond its share, in order of class.
    by_class: Vec<f64>,
    /// Seeds that it was trained with; zero if it was not trained.
    seeds: f64,
    /// Sum of squared deviations of the seeds' means.
    seed_squares: f64,
}

/// What all models have in common.
struct Spread {
    /// Variance over seeds, of all models pooled.
    of_seeds: f64,
    /// Student's quantiles.
    t_seeds: f64,
    t_classes: f64,
}

impl Summary {
    fn new(model: &ModelScores, classes: &BTreeMap<i64, Vec<usize>>) -> Self {
        let seeds = model.by_seed.len() as f64;
        let queries = classes.values().map(Vec::len).sum::<usize>().max(1) as f64;
        let score = |query: &usize| model.by_seed.iter().map(|scores| scores[*query]).sum::<f64>() / seeds;
        let sums: Vec<f64> = classes.values().map(|members| members.iter().map(score).sum()).collect();
        let mean = sums.iter().sum::<f64>() / queries;
        let share = |(sum, members): (&f64, &Vec<usize>)| (sum - mean * members.len() as f64) / queries;
        let deviation = |scores: &Vec<f64>| scores.iter().sum::<f64>() / queries - mean;
        Self {
            mean,
            by_class: sums.iter().zip(classes.values()).map(share).collect(),
            seeds: if model.is_trained { seeds } else { 0.0 },
            seed_squares: model.by_seed.iter().map(|scores| deviation(scores).powi(2)).sum(),
        }
    }

    /// Variance of the mean over seeds.
    fn of_seeds(&self, spread: &Spread) -> f64 {
        if self.seeds == 0.0 {
            return 0.0;
        }
        let own = if self.seeds > 1.0 { self.seed_squares / (self.seeds - 1.0) } else { 0.0 };
        own.max(spread.of_seeds) / self.seeds
    }

    fn less(&self, other: &Self, spread: &Spread) -> PairedDifference {
        let mean = self.mean - other.mean;
        let classes = self.by_class.len() as f64;
        if classes < 2.0 {
            return PairedDifference { mean, interval: None, excludes_zero: false };
        }
        let squares = self.by_class.iter().zip(&other.by_class).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let of_classes = squares * classes / (classes - 1.0);
        let of_seeds = self.of_seeds(spread) + other.of_seeds(spread);
        let half = (spread.t_classes.powi(2) * of_classes + spread.t_seeds.powi(2) * of_seeds).sqrt();
        let interval = Interval { low: mean - half, high: mean + half };
        PairedDifference { mean, interval: Some(interval), excludes_zero: mean.abs() > half }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

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

    /// The sum of twelve uniform numbers, less its mean: nearly normal, of variance one.
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Four equally good models on 25 classes of 20 queries: what differs is which classes a model happens to be good at, how a
    /// seed happens to end, and each query. The last two vary more over seeds than the first two.
    fn equals(trial: u64, seeds: usize, of_classes: f64, of_seeds: f64) -> Vec<ModelScores> {
        let mut rng = ChaCha8Rng::seed_from_u64(trial);
        let model = |factor: f64| {
            let classes: Vec<f64> = (0..25).map(|_| of_classes * normal(&mut rng)).collect();
            let of_seed = |_| {
                let seed = factor * of_seeds * normal(&mut rng);
                (0..500).map(|query| 0.6 + classes[query / 20] + seed + 0.2 * normal(&mut rng)).collect()
            };
            ModelScores { by_seed: (0..seeds).map(of_seed).collect(), is_trained: true }
        };
        [0.5, 0.5, 1.0, 2.0].map(model).to_vec()
    }

    fn classes() -> Vec<i64> {
        (0..500).map(|query| query / 20).collect()
    }

    #[test]
    fn without_any_difference_one_comparison_in_twenty_claims_one() {
        let claims =
            |[seeds, trials]: [usize; 2], [of_classes, of_seeds]: [f64; 2], classes: &[i64], comparisons: usize| {
                let claims = |trial: &usize| {
                    let models = equals(*trial as u64, seeds, of_classes, of_seeds);
                    paired_differences(&models, classes, 0.95, comparisons).iter().any(|found| found.excludes_zero)
                };
                (0..trials).filter(claims).count() as f64 / trials as f64
            };
        // Six differences each; 0.05 and three standard errors of 200 trials.
        let most = 0.05 + 3.0 * (0.05 * 0.95 / 200.0_f64).sqrt();
        for (seeds, spreads) in [(1, [0.1, 0.0]), (3, [0.1, 0.02]), (3, [0.01, 0.05]), (2, [0.02, 0.05])] {
            let found = claims([seeds, 200], spreads, &classes(), 6);
            assert!(found <= most, "{found} of comparisons with {seeds} seeds and {spreads:?} over classes and seeds");
        }
        // What classes and the correction are for: without them nearly every comparison claims a difference, or too many do.
        let every_query: Vec<i64> = (0..500).collect();
        assert!(claims([3, 40], [0.1, 0.0], &every_query, 1) > 0.5);
        assert!(claims([1, 200], [0.1, 0.0], &classes(), 1) > most);
    }

    #[test]
    fn a_difference_in_every_class_is_found() {
        let mut found = 0;
        for trial in 0..100 {
            let mut models = equals(trial, 3, 0.05, 0.01);
            models[1].by_seed.iter_mut().flatten().for_each(|score| *score += 0.08);
            let differences = paired_differences(&models, &classes(), 0.95, 2);
            assert_eq!(differences.len(), 6);
            found += usize::from(differences[0].excludes_zero);
        }
        assert!(found >= 90, "{found} of 100");
    }

    fn untrained(scores: Vec<f64>) -> ModelScores {
        ModelScores { by_seed: vec![scores], is_trained: false }
    }

    #[test]
    fn the_interval_is_that_of_the_classes_means() {
        // Classes differ by 0.1 and 0.3 in turn; twenty classes of five: standard error 0.1026 / sqrt(20), t(19) 2.0930.
        let second: Vec<f64> = (0..100).map(|query| f64::from(query % 3)).collect();
        let first = second
            .iter()
            .enumerate()
            .map(|(query, score)| score + 0.1 + 0.2 * f64::from(query as u8 / 5 % 2))
            .collect();
        let classes: Vec<i64> = (0..100).map(|query| query / 5).collect();
        let found = paired_differences(&[untrained(second), untrained(first)], &classes, 0.95, 1)[0];
        let interval = found.interval.unwrap();
        let half = 2.0930 * 0.1 * (20.0_f64 / 19.0).sqrt() / 20.0_f64.sqrt();
        assert!((found.mean - 0.2).abs() < 1e-12 && found.excludes_zero, "{found:?}");
        assert!((interval.low - (0.2 - half)).abs() < 1e-4 && (interval.high - (0.2 + half)).abs() < 1e-4, "{found:?}");
        let one_class = paired_differences(&[untrained(vec![0.0]), untrained(vec![1.0])], &[7], 0.95, 1)[0];
        assert_eq!(one_class, PairedDifference { mean: 1.0, interval: None, excludes_zero: false });
    }
}
