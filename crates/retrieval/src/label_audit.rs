//! Which labels look wrong, which items belong to nothing, and how varied each class is, from embeddings alone.
//!
//! A wrong label shows in two ways: the item's nearest neighbors are of another class, and it is nearer to another
//! class's center than to its own. Each alone raises false alarms (a class between two others; a class in several
//! clusters), so an item is suspected by both together:
//!
//! ```text
//! vote(c)  = sum over the k nearest of max(s, 0) [label = c] / sum over the k nearest of max(s, 0)
//! center(c) = normalize(sum of the embeddings of c), without the item itself
//! score    = max over c of (vote(c) - vote(own)) / 2 + (x . center(c) - x . center(own)) / spread
//! ```
//! over the other classes among the neighbors that have at least two items, where `spread` is the standard deviation of `x . center` over all items and their own centers, so that both parts are
//! of one size. Suspected are items with a positive score, highest first. Sources: neighbor disagreement, Wilson's editing
//! (1972) and Northcutt et al., "Confident Learning" (2021) for ranking by margin; differs from the latter: there is no
//! classifier, the embedding is the judge.
//!
//! It decides nothing: a suspicion is for a person to look at.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};
use crate::knn::Neighbors;

/// An item whose label looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suspect {
    /// The row.
    pub row: usize,
    /// The label it has.
    pub label: i64,
    /// The label it had better have.
    pub suggested: i64,
    /// How sure; above zero, no upper end.
    pub score: f64,
    /// Share of its neighbors, weighted by similarity, that have the suggested label.
    pub vote: f64,
    /// By how much it is nearer to the suggested class's center than to its own, in cosine.
    pub margin: f64,
}

/// An item that is far from everything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outlier {
    /// The row.
    pub row: usize,
    /// Mean similarity to its nearest neighbors of any class.
    pub similarity: f64,
    /// How far that is below the median of all, in robust standard deviations (1.4826 times the median deviation).
    pub deviations: f64,
}

/// How varied a class is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassDiversity {
    /// The class.
    pub label: i64,
    /// Items of it.
    pub items: usize,
    /// Mean of 1 - cosine over its pairs, in [0, 2]; none with a single item.
    pub diversity: Option<f64>,
}

/// Items whose label looks wrong, most suspicious first.
///
/// `neighbors` are those of the rows among each other; `vectors` are vectors to be near to, one a class (learned
/// proxies, unit length), in place of the classes' own centers where there is one.
///
/// # Errors
/// If there is not one label a row, not one list of neighbors a row, or a vector of another width.
pub fn suspects(
    embeddings: &UnitEmbeddings,
    labels: &[i64],
    neighbors: &Neighbors,
    vectors: &BTreeMap<i64, Vec<f32>>,
) -> Result<Vec<Suspect>> {
    check(embeddings, labels, neighbors)?;
    if let Some(vector) = vectors.values().find(|vector| vector.len() != embeddings.dim()) {
        return Err(RetrievalError::WidthMismatch { queries: embeddings.dim(), gallery: vector.len() });
    }
    let centers = Centers::new(embeddings, labels, vectors);
    let to_own: Vec<Option<f64>> =
        (0..labels.len()).map(|row| centers.similarity(embeddings.row(row), labels[row], labels[row])).collect();
    let spread = standard_deviation(&to_own.iter().flatten().copied().collect::<Vec<_>>()).max(1e-6);
    let judge = |row: usize| {
        let votes = votes(labels, neighbors, row);
        let own = labels[row];
        let vote = |label: i64| votes.get(&label).copied().unwrap_or(0.0);
        let suspect = |suggested: i64| {
            let to_suggested = centers.similarity(embeddings.row(row), suggested, own)?;
            // An item alone in its class has nothing to be near to.
            let margin = to_suggested - to_own[row].unwrap_or(to_suggested);
            let score = (vote(suggested) - vote(own)) / 2.0 + margin / spread;
            Some(Suspect { row, label: own, suggested, score, vote: vote(suggested), margin })
        };
        // An item that is a class by itself is its own center, and near to everything around it.
        let others = votes.keys().filter(|label| **label != own && centers.items(**label) > 1);
        // Among equals the lower label, so that the order of rows does not matter.
        let best = others.filter_map(|label| suspect(*label));
        best.max_by(|a, b| a.score.total_cmp(&b.score).then(b.suggested.cmp(&a.suggested)))
            .filter(|suspect| suspect.score > 0.0)
    };
    let mut suspects: Vec<Suspect> = (0..labels.len()).filter_map(judge).collect();
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    Ok(suspects)
}

/// Items whose mean similarity to their nearest neighbors is at least `deviations` robust deviations below the usual,
/// farthest first.
///
/// # Errors
/// If there is not one list of neighbors a row.
pub fn outliers(embeddings: &UnitEmbeddings, neighbors: &Neighbors, deviations: f64) -> Result<Vec<Outlier>> {
    check(embeddings, &vec![0; embeddings.len()], neighbors)?;
    let mean = |row: usize| {
        let found = neighbors.row(row);
        found.iter().map(|neighbor| f64::from(neighbor.score())).sum::<f64>() / found.len().max(1) as f64
    };
    let means: Vec<f64> = (0..embeddings.len()).map(mean).collect();
    let middle = median(&means);
    let spread = 1.4826 * median(&means.iter().map(|mean| (mean - middle).abs()).collect::<Vec<_>>());
    let spread = spread.max(1e-6);
    let mut outliers: Vec<Outlier> = means
        .iter()
        .enumerate()
        .map(|(row, &similarity)| Outlier { row, similarity, deviations: (middle - similarity) / spread })
        .filter(|outlier| outlier.deviations >= deviations)
        .collect();
    outliers.sort_by(|a, b| b.deviations.total_cmp(&a.deviations).then(a.row.cmp(&b.row)));
    Ok(outliers)
}

/// How varied each class is, in order of label.
///
/// ```text
/// mean over pairs of x_i . x_j = (|sum x_i|^2 - m) / (m (m - 1))
/// ```
///
/// # Errors
/// If there is not one label a row.
pub fn class_diversity(embeddings: &UnitEmbeddings, labels: &[i64]) -> Result<Vec<ClassDiversity>> {
    if embeddings.len() != labels.len() {
        return Err(RetrievalError::LabelCount { what: "embeddings", rows: embeddings.len(), labels: labels.len() });
    }
    let sums = sums(embeddings, labels);
    let diversity = |(&label, (sum, items)): (&i64, &(Vec<f64>, usize))| {
        let count = *items as f64;
        let squared: f64 = sum.iter().map(|value| value * value).sum();
        let mean = (squared - count) / (count * (count - 1.0));
        ClassDiversity { label, items: *items, diversity: (*items > 1).then_some((1.0 - mean).max(0.0)) }
    };
    Ok(sums.iter().map(diversity).collect())
}

fn check(embeddings: &UnitEmbeddings, labels: &[i64], neighbors: &Neighbors) -> Result<()> {
    let rows = embeddings.len();
    if labels.len() != rows {
        return Err(RetrievalError::LabelCount { what: "embeddings", rows, labels: labels.len() });
    }
    if neighbors.len() != rows {
        return Err(RetrievalError::LabelCount { what: "lists of neighbors", rows, labels: neighbors.len() });
    }
    Ok(())
}

/// Share of each label among the neighbors of `row`, weighted by similarity.
fn votes(labels: &[i64], neighbors: &Neighbors, row: usize) -> BTreeMap<i64, f64> {
    let mut votes: BTreeMap<i64, f64> = BTreeMap::new();
    for neighbor in neighbors.row(row) {
        *votes.entry(labels[neighbor.index() as usize]).or_default() += f64::from(neighbor.score().max(0.0));
    }
    let total: f64 = votes.values().sum::<f64>().max(f64::MIN_POSITIVE);
    votes.values_mut().for_each(|vote| *vote /= total);
    votes
}

/// What a class's items are near to.
struct Centers<'a> {
    sums: BTreeMap<i64, (Vec<f64>, usize)>,
    vectors: &'a BTreeMap<i64, Vec<f32>>,
}

impl<'a> Centers<'a> {
    fn new(embeddings: &UnitEmbeddings, labels: &[i64], vectors: &'a BTreeMap<i64, Vec<f32>>) -> Self {
        Self { sums: sums(embeddings, labels), vectors }
    }

    /// Number of items of a class.
    fn items(&self, label: i64) -> usize {
        self.sums.get(&label).map_or(0, |(_, count)| *count)
    }

    /// Cosine of `item`, which is one of `own`, and the center of `label`; none if there is nothing else in the class.
    fn similarity(&self, item: &[f32], label: i64, own: i64) -> Option<f64> {
        if let Some(vector) = self.vectors.get(&label) {
            return Some(item.iter().zip(vector).map(|(a, b)| f64::from(a * b)).sum());
        }
        let (sum, count) = self.sums.get(&label)?;
        let without = f64::from(u8::from(label == own));
        if *count as f64 - without < 1.0 {
            return None;
        }
        let (mut product, mut squared) = (0.0, 0.0);
        for (value, sum) in item.iter().zip(sum) {
            let rest = sum - without * f64::from(*value);
            product += f64::from(*value) * rest;
            squared += rest * rest;
        }
        Some(product / squared.sqrt().max(1e-12))
    }
}

fn sums(embeddings: &UnitEmbeddings, labels: &[i64]) -> BTreeMap<i64, (Vec<f64>, usize)> {
    let mut sums: BTreeMap<i64, (Vec<f64>, usize)> = BTreeMap::new();
    for (row, &label) in labels.iter().enumerate() {
        let (sum, count) = sums.entry(label).or_insert_with(|| (vec![0.0; embeddings.dim()], 0));
        sum.iter_mut().zip(embeddings.row(row)).for_each(|(sum, value)| *sum += f64::from(*value));
        *count += 1;
    }
    sums
}

fn standard_deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KnnConfig, search_self};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const CLASSES: usize = 12;
    const EACH: usize = 15;

    /// Classes around directions drawn at random, wide enough to touch.
    fn clouds(spread: f32) -> (UnitEmbeddings, Vec<i64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut draw = || -> Vec<f32> { (0..16).map(|_| rng.random::<f32>() - 0.5).collect() };
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for class in 0..CLASSES {
            let center = draw();
            for _ in 0..EACH {
                values.extend(center.iter().zip(draw()).map(|(center, noise)| center + spread * noise));
                labels.push(class as i64);
            }
        }
        (UnitEmbeddings::new(values, 16).unwrap(), labels)
    }

    fn neighbors(embeddings: &UnitEmbeddings) -> Neighbors {
        search_self(embeddings, &KnnConfig { k: 10, ..KnnConfig::default() }).unwrap()
    }

    #[test]
    fn flipped_labels_lead_the_list() {
        let (embeddings, truth) = clouds(0.8);
        let mut labels = truth.clone();
        let flipped: Vec<usize> = (0..12).map(|i| i * 15 + i).collect();
        for (turn, &row) in flipped.iter().enumerate() {
            labels[row] = (truth[row] + 1 + turn as i64 % 10) % CLASSES as i64;
        }
        let found = suspects(&embeddings, &labels, &neighbors(&embeddings), &BTreeMap::new()).unwrap();
        let first = &found[..flipped.len()];
        let right = first.iter().filter(|suspect| flipped.contains(&suspect.row)).count();
        assert!(right >= 11, "{right} of 12");
        // The clouds touch, so that for some a third class is as near as the right one.
        assert!(first.iter().filter(|suspect| suspect.suggested == truth[suspect.row]).count() >= 10);
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }

    #[test]
    fn sound_labels_raise_no_suspicion() {
        let (embeddings, labels) = clouds(0.4);
        assert!(suspects(&embeddings, &labels, &neighbors(&embeddings), &BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn proxies_take_the_place_of_centers() {
        let (embeddings, mut labels) = clouds(0.4);
        labels[3] = 1;
        let proxy = |row: usize| embeddings.row(row).to_vec();
        let vectors = BTreeMap::from([(0, proxy(5)), (1, proxy(2 * EACH))]);
        let found = suspects(&embeddings, &labels, &neighbors(&embeddings), &vectors).unwrap();
        let cosine = |a: usize, b: usize| -> f64 {
            embeddings.row(a).iter().zip(embeddings.row(b)).map(|(a, b)| f64::from(a * b)).sum()
        };
        assert_eq!((found[0].row, found[0].suggested), (3, 0));
        assert!((found[0].margin - (cosine(3, 5) - cosine(3, 2 * EACH))).abs() < 1e-9);
        let narrow = BTreeMap::from([(0, vec![1.0])]);
        assert!(suspects(&embeddings, &labels, &neighbors(&embeddings), &narrow).is_err());
    }

    #[test]
    fn an_item_alone_in_its_class_is_judged_by_its_neighbors() {
        let (embeddings, mut labels) = clouds(0.4);
        labels[3] = 99;
        let found = suspects(&embeddings, &labels, &neighbors(&embeddings), &BTreeMap::new()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].row, found[0].suggested, found[0].margin), (3, 0, 0.0));
    }

    #[test]
    fn what_is_far_from_everything_is_an_outlier() {
        let (embeddings, _) = clouds(0.4);
        let mut values = embeddings.into_vec();
        let stray = values.len() / 16;
        values.extend((0..16).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }));
        let embeddings = UnitEmbeddings::new(values, 16).unwrap();
        let found = outliers(&embeddings, &neighbors(&embeddings), 3.5).unwrap();
        assert_eq!(found.first().map(|outlier| outlier.row), Some(stray));
    }

    #[test]
    fn diversity_is_the_mean_distance_of_pairs() {
        let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.6, 0.8], 2).unwrap();
        let classes = class_diversity(&embeddings, &[4, 4, 4, -1]).unwrap();
        assert_eq!((classes[0].label, classes[0].items, classes[0].diversity), (-1, 1, None));
        // Cosines 0, -1 and 0.
        assert!((classes[1].diversity.unwrap() - 4.0 / 3.0).abs() < 1e-12);
    }
}
