//! How similar pairs of one class are and pairs of two, on a sample of whole classes.

use std::collections::BTreeMap;

use kinsight_retrieval::{EvalConfig, PairScores, RetrievalError, evaluate_roles};
use rand::seq::SliceRandom;

use super::{MethodResult, Samples};
use crate::run::{SimilarityDistribution, Threshold};

/// Images whose pairs are looked at.
const SAMPLE: usize = 3000;
const FALSE_MATCH_RATES: [f64; 3] = [0.001, 0.01, 0.1];
const STREAM: u64 = 2;

pub(super) fn distributions(samples: &Samples<'_>) -> Result<Vec<SimilarityDistribution>, RetrievalError> {
    let Some(result) = samples.methods.first() else { return Ok(Vec::new()) };
    let rows = whole_classes(result.labels, SAMPLE, &mut samples.rng(STREAM));
    samples.methods.iter().map(|result| distribution(result, &rows)).collect()
}

/// Of the pairs of a query and a gallery image among `rows`.
fn distribution(result: &MethodResult<'_>, rows: &[usize]) -> Result<SimilarityDistribution, RetrievalError> {
    let labels: Vec<i64> = rows.iter().map(|row| result.labels[*row]).collect();
    let places = |of: &[usize]| -> Vec<usize> {
        (0..rows.len()).filter(|place| of.binary_search(&rows[*place]).is_ok()).collect()
    };
    let (queries, gallery) = (places(result.queries), places(result.gallery));
    let none = || SimilarityDistribution { method: result.name.to_string(), ..SimilarityDistribution::default() };
    let has_partner = |query: &usize| gallery.iter().any(|other| other != query && labels[*other] == labels[*query]);
    if !queries.iter().any(has_partner) {
        return Ok(none());
    }
    let config =
        EvalConfig { ks: vec![1], false_match_rates: Some(FALSE_MATCH_RATES.to_vec()), ..EvalConfig::default() };
    let evaluation = evaluate_roles(&result.embeddings.select(rows)?, &labels, &queries, &gallery, &config)?;
    Ok(evaluation.pairs.map_or_else(none, |pairs| of_pairs(result.name, pairs)))
}

fn of_pairs(name: &str, pairs: PairScores) -> SimilarityDistribution {
    let threshold = |point: kinsight_retrieval::metrics::OperatingPoint| Threshold {
        similarity: point.threshold,
        false_match_rate: point.fmr,
        false_non_match_rate: point.fnmr,
    };
    SimilarityDistribution {
        method: name.to_string(),
        pairs: (pairs.genuine, pairs.impostor),
        histogram: pairs.histogram,
        // A rate of less than one pair has no threshold.
        thresholds: pairs.operating_points.into_iter().filter(|point| point.fmr > 0.0).map(threshold).collect(),
        equal_error_rate: pairs.equal_error_rate,
        area_under_roc: pairs.area_under_roc,
    }
}

/// Rows of classes drawn at random, whole, until there are `enough`; ascending.
///
/// A class larger than what is left is cut, but to no less than two images.
pub(super) fn whole_classes(labels: &[i64], enough: usize, rng: &mut rand_chacha::ChaCha8Rng) -> Vec<usize> {
    let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(row);
    }
    let mut classes: Vec<Vec<usize>> = classes.into_values().collect();
    if labels.len() > enough {
        classes.shuffle(rng);
    }
    // Few large classes give a part, many small ones are taken whole.
    let each = (enough / classes.len().max(1)).max(20);
    let mut rows = Vec::new();
    for class in classes {
        let left = enough.saturating_sub(rows.len());
        if left < 2 {
            break;
        }
        let wanted = if labels.len() > enough { class.len().min(each).min(left) } else { class.len() };
        rows.extend(class.into_iter().take(wanted));
    }
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn samples_are_bounded_and_keep_classes_together() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let labels: Vec<i64> = (0..1000).map(|row| row / 10).collect();
        assert_eq!(whole_classes(&labels, 1000, &mut rng), (0..1000).collect::<Vec<_>>());
        let rows = whole_classes(&labels, 105, &mut rng);
        assert!(rows.len() <= 105 && rows.len() > 100);
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *counts.entry(labels[*row]).or_default() += 1);
        assert_eq!(counts.values().filter(|count| **count == 10).count(), 10);
        // Two classes of 500 give both a part.
        let labels: Vec<i64> = (0..1000).map(|row| row / 500).collect();
        let rows = whole_classes(&labels, 100, &mut rng);
        assert_eq!(rows.iter().filter(|row| labels[**row] == 0).count(), 50);
    }
}
