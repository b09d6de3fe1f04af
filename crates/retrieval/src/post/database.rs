//! Database-side augmentation: each gallery item moves towards its own neighbors, once, before any query comes.
//!
//! ```text
//! d' = d + sum over ranks r = 1..k of  (1 - r / (k + 1)) d_r,   brought to length one
//! ```
//! Source: Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval" (2012), section 3.3;
//! weights falling with the rank as in Gordo et al., "End-to-End Learning of Deep Visual Representations" (2017).

use super::expansion::weighted_sums;
use crate::UnitEmbeddings;
use crate::error::Result;
use crate::knn::{KnnConfig, search_self};

/// The augmented gallery, from `config.k` neighbors of each item.
///
/// # Errors
/// As [`search_self`].
pub fn augment_database(gallery: &UnitEmbeddings, config: &KnnConfig) -> Result<UnitEmbeddings> {
    let neighbors = search_self(gallery, config)?;
    let k = neighbors.k() as f64;
    weighted_sums(gallery, gallery, &neighbors, |rank, _| 1.0 - (rank + 1) as f64 / (k + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // With k = 1 the weight is a half: (1, 0) and (0.6, 0.8) are each other's neighbors.
        let gallery = UnitEmbeddings::new(vec![1.0, 0.0, 0.6, 0.8], 2).unwrap();
        let augmented = augment_database(&gallery, &KnnConfig { k: 1, ..KnnConfig::default() }).unwrap();
        let length = 1.3_f64.hypot(0.4);
        assert!((f64::from(augmented.row(0)[0]) - 1.3 / length).abs() < 1e-6);
        assert!((f64::from(augmented.row(0)[1]) - 0.4 / length).abs() < 1e-6);
    }
}
