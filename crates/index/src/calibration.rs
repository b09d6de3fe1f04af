//! What a score means: thresholds for "duplicate", "same" and "similar", from labeled images.
//!
//! A cosine similarity of 0.8 is nearly certain for one model and nothing for another. Thresholds are therefore measured,
//! and stated as what users can weigh: how often two images that do not belong together are taken for a match.
//!
//! ```text
//! same       score >= s, where s lets at most `same_rate` of the pairs with different labels through
//! similar    score >= s, where s lets at most `similar_rate` of them through
//! duplicate  score >= s, where s lets at most `duplicate_rate` of the pairs with the same label but other pixels through
//! unknown    anything below
//! ```
//!
//! Rates are of single pairs. A search compares its query with every image, so among n images it meets n chances of a
//! false match; pick the rate with the size of the collection in mind.

use std::collections::{BTreeMap, BTreeSet};

use kinsight_retrieval::{EvalConfig, UnitEmbeddings, evaluate_self};
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::error::{IndexError, Result};
use crate::payload::fields;
use crate::store::{Cursor, VectorStore};

/// The rates that thresholds are picked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRates {
    /// Largest share of same-label pairs of different pictures that may count as duplicates.
    pub duplicate: f64,
    /// Largest share of different-label pairs that may count as the same.
    pub same: f64,
    /// Largest share of different-label pairs that may count as similar.
    pub similar: f64,
}

impl Default for CalibrationRates {
    fn default() -> Self {
        Self { duplicate: 1e-3, same: 1e-3, similar: 1e-2 }
    }
}

/// Thresholds, and what they were measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The rates asked for.
    pub rates: CalibrationRates,
    /// Scores from here on: duplicates. Never below `same`.
    pub duplicate: f64,
    /// Scores from here on: the same thing.
    pub same: f64,
    /// Scores from here on: similar. Never above `same`.
    pub similar: f64,
    /// Images it was measured on.
    pub images: usize,
    /// Labels among them.
    pub labels: usize,
    /// Pairs of the same label.
    pub genuine_pairs: u64,
    /// Pairs of different labels.
    pub impostor_pairs: u64,
    /// Both error rates along the threshold, from the strictest to the loosest.
    pub curve: Vec<CurvePoint>,
}

/// Error rates at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// The threshold.
    pub threshold: f64,
    /// Share of different-label pairs that reach it.
    pub false_match_rate: f64,
    /// Share of same-label pairs that do not.
    pub false_non_match_rate: f64,
}

/// What a score says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing to go by.
    Unknown,
    /// Alike, perhaps a neighboring class.
    Similar,
    /// The same thing.
    Same,
    /// The same picture, perhaps saved again or cropped.
    Duplicate,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Similar => "similar",
            Self::Same => "same",
            Self::Duplicate => "duplicate",
        }
    }
}

impl Calibration {
    /// Measures on labeled images.
    ///
    /// # Errors
    /// Rates outside (0, 1); fewer than two labels, or no label with two images; too little memory for the pairs.
    pub fn measure(samples: &Samples, rates: CalibrationRates) -> Result<Self> {
        for (name, rate) in [("duplicate", rates.duplicate), ("same", rates.same), ("similar", rates.similar)] {
            if !(rate > 0.0 && rate < 1.0) {
                return Err(IndexError::setting("a rate", format!("{rate} for {name}"), "above 0 and below 1"));
            }
        }
        if rates.same > rates.similar {
            return Err(IndexError::setting(
                "the rate for same",
                rates.same,
                format!("at most {} (similar)", rates.similar),
            ));
        }
        let labels: BTreeSet<i64> = samples.labels.iter().copied().collect();
        if labels.len() < 2 || labels.len() == samples.labels.len() {
            return Err(no_pairs());
        }
        let config = EvalConfig { false_match_rates: Some(vec![rates.same, rates.similar]), ..EvalConfig::default() };
        let pairs = evaluate_self(&samples.embeddings, &samples.labels, &config)?.pairs.ok_or_else(no_pairs)?;
        let [same, similar] = pairs.operating_points[..] else { return Err(no_pairs()) };
        Ok(Self {
            rates,
            duplicate: duplicate_threshold(samples, rates.duplicate).max(same.threshold),
            same: same.threshold,
            similar: similar.threshold,
            images: samples.labels.len(),
            labels: labels.len(),
            genuine_pairs: pairs.genuine,
            impostor_pairs: pairs.impostor,
            curve: pairs
                .roc
                .iter()
                .map(|point| CurvePoint {
                    threshold: point.threshold,
                    false_match_rate: point.fmr,
                    false_non_match_rate: point.fnmr,
                })
                .collect(),
        })
    }

    /// What `score` says.
    pub fn verdict(&self, score: f64) -> Verdict {
        if score >= self.duplicate {
            Verdict::Duplicate
        } else if score >= self.same {
            Verdict::Same
        } else if score >= self.similar {
            Verdict::Similar
        } else {
            Verdict::Unknown
        }
    }
}

/// Labeled embeddings.
#[derive(Clone, Debug)]
pub struct Samples {
    embeddings: UnitEmbeddings,
    labels: Vec<i64>,
    /// Equal for pictures with the same pixels.
    pictures: Vec<String>,
}

impl Samples {
    /// Of an embedding, a label and something that is equal for equal pictures, each.
    ///
    /// # Errors
    /// If the embeddings differ in width or cannot be normalized.
    pub fn new(images: Vec<(Vec<f32>, String, String)>) -> Result<Self> {
        let dim = images.first().map_or(1, |(vector, ..)| vector.len());
        let names: BTreeSet<String> = images.iter().map(|(_, label, _)| label.clone()).collect();
        let numbers: BTreeMap<&str, i64> = names.iter().map(String::as_str).zip(0..).collect();
        let labels = images.iter().map(|(_, label, _)| numbers[label.as_str()]).collect();
        let pictures = images.iter().map(|(.., picture)| picture.clone()).collect();
        let values = images.into_iter().flat_map(|(vector, ..)| vector).collect();
        Ok(Self { embeddings: UnitEmbeddings::new(values, dim)?, labels, pictures })
    }

    /// At most `limit` labeled images of a store, spread evenly over it.
    ///
    /// # Errors
    /// If it cannot be read or holds no labeled image.
    pub fn of_store(store: &dyn VectorStore, limit: usize) -> Result<Self> {
        let step = store.len()?.div_ceil(limit.max(1)).max(1);
        let (mut images, mut seen, mut cursor) = (Vec::new(), 0_usize, Some(Cursor::default()));
        while let Some(start) = cursor {
            let (points, next) = store.scroll(start, 1024, None, &Cancel::new())?;
            for point in points {
                let Some(label) = point.payload.get(fields::LABEL) else { continue };
                if seen.is_multiple_of(step) {
                    let picture = point.payload.get(fields::PIXEL_HASH).map(|hash| hash.text());
                    images.push((point.vector, label.text(), picture.unwrap_or_else(|| point.id.to_string())));
                }
                seen += 1;
            }
            cursor = next;
        }
        if images.is_empty() {
            let expected = "images in class folders, or a CSV with a column label";
            return Err(IndexError::setting("the number of labeled images", 0, expected));
        }
        Self::new(images)
    }
}

/// The largest score that more than `rate` of the same-label pairs of different pictures reach, and a little; computed over
/// same-label pairs only, a small fraction of all pairs.
fn duplicate_threshold(samples: &Samples, rate: f64) -> f64 {
    let mut by_label: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, &label) in samples.labels.iter().enumerate() {
        by_label.entry(label).or_default().push(row);
    }
    let mut scores = Vec::new();
    for rows in by_label.values() {
        // A class of thousands has millions of pairs; a thousand of its images tell as much.
        let rows: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(1000)).collect();
        for (i, &a) in rows.iter().enumerate() {
            for &b in &rows[i + 1..] {
                if samples.pictures[a] != samples.pictures[b] {
                    let (a, b) = (samples.embeddings.row(a), samples.embeddings.row(b));
                    scores.push(a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>());
                }
            }
        }
    }
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (scores.len() as f64 * rate) as usize;
    // The first score that must not pass; anything above it may.
    scores.get(allowed).map_or(1.0, |score| (score + 1e-6).min(1.0))
}

fn no_pairs() -> IndexError {
    let expected = "at least two labels, one of them with two images";
    IndexError::setting("the labeled images", "too few", expected)
}
