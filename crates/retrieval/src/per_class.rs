//! Scores of each class, to see which ones a model does not tell apart.

use std::collections::BTreeMap;

use serde::Serialize;

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

/// Gathers columns of the per-query `scores` by label.
pub(crate) fn per_class(
    labels: &[i64],
    with_reference: &[bool],
    scores: &[Box<[f64]>],
    recall_at_1: Option<usize>,
    map_at_r: Option<usize>,
) -> Vec<ClassScores> {
    let mut classes: BTreeMap<i64, ClassScores> = BTreeMap::new();
    for ((&label, &has_reference), scores) in labels.iter().zip(with_reference).zip(scores) {
        let class = classes.entry(label).or_insert(ClassScores {
            label,
            queries: 0,
            queries_without_reference: 0,
            recall_at_1: 0.0,
            map_at_r: 0.0,
        });
        class.queries += 1;
        class.queries_without_reference += usize::from(!has_reference);
        class.recall_at_1 += recall_at_1.map_or(0.0, |place| scores[place]);
        class.map_at_r += map_at_r.map_or(0.0, |place| scores[place]);
    }
    let mut classes: Vec<ClassScores> = classes.into_values().collect();
    for class in &mut classes {
        let judged = class.queries - class.queries_without_reference;
        if judged > 0 {
            class.recall_at_1 /= judged as f64;
            class.map_at_r /= judged as f64;
        }
    }
    classes
}
