//! Alpha query expansion: search again with a weighted mean of the query and its best hits.
//!
//! ```text
//! q' = normalize(q + sum_i max(s_i, 0)^alpha * v_i)      over the n best hits v_i with scores s_i
//! ```
//! Source: Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (TPAMI 2019), section
//! 3.2; there alpha = 3 and n = 50 on collections with many relevant images. Differs from the source: the default n is 10.

use serde::{Deserialize, Serialize};

use crate::store::Hit;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlphaQueryExpansion {
    /// How steeply the weight of a hit falls with its score; 0 weighs all alike.
    pub alpha: f64,
    /// How many of the best hits are added.
    pub neighbors: usize,
}

impl Default for AlphaQueryExpansion {
    fn default() -> Self {
        Self { alpha: 3.0, neighbors: 10 }
    }
}

/// The expanded query, of length one; the query itself where the sum has no direction. Hits must carry their vectors.
pub fn expanded(query: &[f32], best: &[Hit], alpha: f64) -> Vec<f32> {
    let mut sum: Vec<f64> = query.iter().map(|&value| f64::from(value)).collect();
    for hit in best {
        let weight = f64::from(hit.score).max(0.0).powf(alpha);
        for (sum, &value) in sum.iter_mut().zip(hit.vector.iter().flatten()) {
            *sum += weight * f64::from(value);
        }
    }
    crate::query::unit(&sum).unwrap_or_else(|| query.to_vec())
}
