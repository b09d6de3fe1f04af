//! Alpha query expansion: a query moves towards what it found, the more the more similar that is.
//!
//! ```text
//! q' = q + sum over the n best answers d of  max(cos(q, d), 0)^alpha d,   brought to length one
//! ```
//! Source: Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (2018), section 3.3, with
//! alpha 3.

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::error::Result;
use crate::knn::Neighbors;

/// The expanded queries, from their neighbors in the gallery (a query that is itself in the gallery left out).
///
/// # Errors
/// A query whose answers cancel it exactly.
pub fn expand_queries(
    queries: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    neighbors: &Neighbors,
    alpha: f64,
) -> Result<UnitEmbeddings> {
    weighted_sums(queries, gallery, neighbors, |_, score| score.max(0.0).powf(alpha))
}

/// Each row plus its neighbors, weighted by rank (from 0) and similarity.
pub(super) fn weighted_sums(
    rows: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    neighbors: &Neighbors,
    weight: impl Fn(usize, f64) -> f64 + Sync,
) -> Result<UnitEmbeddings> {
    let dim = rows.dim();
    let mut values = vec![0.0_f32; rows.len() * dim];
    values.par_chunks_mut(dim).enumerate().for_each(|(row, out)| {
        let mut sum: Vec<f64> = rows.row(row).iter().map(|&value| f64::from(value)).collect();
        for (rank, neighbor) in neighbors.row(row).iter().enumerate() {
            let weight = weight(rank, f64::from(neighbor.score()));
            for (sum, &value) in sum.iter_mut().zip(gallery.row(neighbor.index() as usize)) {
                *sum += weight * f64::from(value);
            }
        }
        out.iter_mut().zip(sum).for_each(|(out, sum)| *out = sum as f32);
    });
    UnitEmbeddings::new(values, dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::{KnnConfig, search};

    #[test]
    fn worked_example() {
        // The query (1, 0) finds (0.6, 0.8) with cosine 0.6: q' is along (1, 0) + 0.216 (0.6, 0.8).
        let queries = UnitEmbeddings::new(vec![1.0, 0.0], 2).unwrap();
        let gallery = UnitEmbeddings::new(vec![0.6, 0.8, -1.0, 0.1], 2).unwrap();
        let neighbors = search(&queries, &gallery, &KnnConfig { k: 2, ..KnnConfig::default() }).unwrap();
        let expanded = expand_queries(&queries, &gallery, &neighbors, 3.0).unwrap();
        let (x, y) = (1.0_f64 + 0.216 * 0.6, 0.216 * 0.8);
        let length = x.hypot(y);
        assert!((f64::from(expanded.row(0)[0]) - x / length).abs() < 1e-6);
        assert!((f64::from(expanded.row(0)[1]) - y / length).abs() < 1e-6);
    }
}
