//! Scores of each class, to see which ones a model does not tell apart.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::paired::QueryScore;

/// Scores of the queries of one class, each a mean over those with a relevant item.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassScores {
    /// The class's label.
    pub label: i64,
    /// Queries of this label.
    pub queries: usize,
    /// Those among them without a relevant item.
    pub queries_without_reference: usize,
    /// Recall@1, zero if no query has a relevant item.
    pub recall_at_1: f64,
    /// MAP@R, zero if no query has a relevant item.
    pub map_at_r: f64,
}

/// Gathers the queries' scores by label.
pub(crate) fn per_class(labels: &[i64], scores: &[QueryScore]) -> Vec<ClassScores> {
    let mut classes: BTreeMap<i64, ClassScores> = BTreeMap::new();
    for (&label, score) in labels.iter().zip(scores) {
        let empty = ClassScores { label, queries: 0, queries_without_reference: 0, recall_at_1: 0.0, map_at_r: 0.0 };
        let class = classes.entry(label).or_insert(empty);
        class.queries += 1;
        class.queries_without_reference += usize::from(score.map_at_r.is_none());
        class.recall_at_1 += score.recall_at_1;
        class.map_at_r += score.map_at_r.unwrap_or(0.0);
    }
    for class in classes.values_mut() {
        let judged = (class.queries - class.queries_without_reference).max(1) as f64;
        class.recall_at_1 /= judged;
        class.map_at_r /= judged;
    }
    classes.into_values().collect()
}
