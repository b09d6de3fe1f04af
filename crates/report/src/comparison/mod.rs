//! Methods over seeds on one data set, as a page, as Markdown, as CSV and, serialized, as JSON.

mod notes;
mod page;
mod tables;

use std::collections::BTreeMap;

use kinsight_retrieval::Interval;
use serde::Serialize;

pub use notes::notes;

/// A mean over seeds with the sample's standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanDeviation {
    /// Mean.
    pub mean: f64,
    /// Standard deviation with n - 1; none for a single value.
    pub deviation: Option<f64>,
}

impl MeanDeviation {
    /// Of `values`; none if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Some(Self { mean, deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) })
    }
}

/// One row: the bare backbone, or an entry over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Name.
    pub name: String,
    /// Seeds that are finished; 0 for the bare backbone.
    pub seeds: usize,
    /// Metrics by name, fractions in [0, 1].
    pub metrics: BTreeMap<String, MeanDeviation>,
    /// Scalars that train.
    pub trainable: usize,
    /// Their share of all.
    pub trainable_share: f64,
    /// Images trained on in a second.
    pub images_per_second: Option<MeanDeviation>,
    /// Seconds of training.
    pub seconds: Option<MeanDeviation>,
    /// Largest resident size over the seeds, in bytes.
    pub peak_memory_bytes: Option<u64>,
}

/// The difference of two rows in one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// `recall@1` or `map@r`.
    pub metric: &'static str,
    /// Place of the row that is subtracted from.
    pub row: usize,
    /// Place of the row that is subtracted.
    pub minus: usize,
    /// Mean over queries and seeds.
    pub mean: f64,
    /// Where the difference lies, corrected for the number of differences; none if it cannot be told.
    pub interval: Option<Interval>,
    /// Whether there is an interval, and it leaves out zero.
    pub excludes_zero: bool,
}

/// Everything a comparison shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Heading.
    pub title: String,
    /// On what and with what: what, and its value.
    pub facts: Vec<(String, String)>,
    /// The bare backbone, then the entries in their order.
    pub rows: Vec<ComparisonRow>,
    /// Of every row with every other, in Recall@1 and MAP@R.
    pub differences: Vec<Difference>,
    /// What a mark at a difference says and what it does not, one sentence or two each.
    pub notes: Vec<String>,
    /// Runs that are missing, with the reason.
    pub missing: Vec<(String, String)>,
}

impl Comparison {
    /// The difference of two rows, whichever way round it is kept, and whether its interval leaves out zero.
    pub fn difference(&self, metric: &str, row: usize, minus: usize) -> Option<(f64, bool)> {
        self.differences.iter().filter(|found| found.metric == metric).find_map(|found| {
            let Difference { mean, excludes_zero, .. } = *found;
            match (found.row, found.minus) {
                places if places == (row, minus) => Some((mean, excludes_zero)),
                places if places == (minus, row) => Some((-mean, excludes_zero)),
                _ => None,
            }
        })
    }

    /// What the scores in the tables are.
    fn what_scores_are(&self) -> &'static str {
        match self.rows.iter().any(|row| row.seeds > 1) {
            true => "Scores in percent, of the state that each run kept; mean ± standard deviation over seeds.",
            false => "Scores in percent, of the state that each run kept.",
        }
    }
}
