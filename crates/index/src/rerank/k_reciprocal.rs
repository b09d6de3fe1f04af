//! k-reciprocal re-ranking: two images belong together if each is among the other's neighbors.
//!
//! ```text
//! R(p, k)  = { g : g among the k nearest of p, and p among the k nearest of g }
//! R*(p, k) = R(p, k), and R(q, k/2) for each q in it with |R(p, k) & R(q, k/2)| >= 2/3 |R(q, k/2)|
//! V_p(g)   = exp(-d(p, g)) for g in R*(p, k1), else 0; then the mean of V over the k2 nearest of p
//! d_J(p, g)= 1 - sum_j min(V_p(j), V_g(j)) / sum_j max(V_p(j), V_g(j))
//! d*       = (1 - lambda) d_J + lambda d,   d = 2 - 2 cos
//! ```
//! Source: Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding" (CVPR 2017), defaults
//! k1 = 20, k2 = 6, lambda = 0.3. Differs from the source: neighborhoods are taken among the query and its best candidates
//! and not in the whole gallery, so that the cost does not grow with the gallery; d is divided by its largest value for
//! the query, as the authors' code does; V is normalized to sum to one, as there.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{IndexError, Result};
use crate::store::Hit;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KReciprocal {
    /// Hits that are put in a new order.
    pub candidates: usize,
    /// Neighbors looked at, k1.
    pub k1: usize,
    /// Neighbors averaged over, k2.
    pub k2: usize,
    /// Weight of the original distance, lambda, in [0, 1].
    pub lambda: f64,
}

impl Default for KReciprocal {
    fn default() -> Self {
        Self { candidates: 200, k1: 20, k2: 6, lambda: 0.3 }
    }
}

/// The most candidates that are put in a new order: their similarities are a square matrix.
const MOST_CANDIDATES: usize = 5000;

/// `hits` of `query`, which carry their vectors, in the new order.
pub(super) fn reordered(query: &[f32], hits: Vec<Hit>, settings: &KReciprocal) -> Result<Vec<Hit>> {
    if settings.candidates > MOST_CANDIDATES || hits.len() > MOST_CANDIDATES {
        let expected = format!("at most {MOST_CANDIDATES}");
        return Err(IndexError::setting("candidates", settings.candidates.max(hits.len()), expected));
    }
    let vectors: Vec<&[f32]> =
        std::iter::once(query).chain(hits.iter().map(|hit| hit.vector.as_deref().unwrap_or_default())).collect();
    let distances = k_reciprocal_distances(&vectors, settings);
    let mut order: Vec<usize> = (0..hits.len()).collect();
    // Stable: equal distances keep the order of the search.
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let mut hits: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place| hits[place].take()).collect())
}

/// The distance d* of the first vector, the query, to each of the others.
pub fn k_reciprocal_distances(vectors: &[&[f32]], settings: &KReciprocal) -> Vec<f64> {
    let n = vectors.len();
    let distance = |a: &[f32], b: &[f32]| {
        (2.0 - 2.0 * a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>()).max(0.0)
    };
    let mut distances: Vec<Vec<f64>> =
        vectors.par_iter().map(|a| vectors.iter().map(|b| distance(a, b)).collect()).collect();
    for row in &mut distances {
        let largest = row.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        row.iter_mut().for_each(|value| *value /= largest);
    }
    let ranked: Vec<Vec<usize>> = distances
        .par_iter()
        .enumerate()
        .map(|(own, row)| {
            let mut order: Vec<usize> = (0..n).collect();
            // An image is its own nearest, also where others are copies of it.
            order.sort_by(|&a, &b| (a != own).cmp(&(b != own)).then(row[a].total_cmp(&row[b])));
            order.truncate(settings.k1.max(settings.k2) + 1);
            order
        })
        .collect();
    let encoded: Vec<Vec<f64>> =
        (0..n).into_par_iter().map(|p| encoding(p, &ranked, &distances[p], settings.k1)).collect();
    let averaged = |p: usize| -> Vec<f64> {
        let near = &ranked[p][..settings.k2.clamp(1, ranked[p].len())];
        (0..n).map(|j| near.iter().map(|&q| encoded[q][j]).sum::<f64>() / near.len() as f64).collect()
    };
    let query = averaged(0);
    (1..n)
        .into_par_iter()
        .map(|g| {
            let other = averaged(g);
            let pairs = query.iter().zip(&other);
            let (shared, all) = pairs.fold((0.0, 0.0), |(shared, all), (&a, &b)| (shared + a.min(b), all + a.max(b)));
            let jaccard = if all > 0.0 { 1.0 - shared / all } else { 1.0 };
            (1.0 - settings.lambda) * jaccard + settings.lambda * distances[0][g]
        })
        .collect()
}

/// V_p, summing to one.
fn encoding(p: usize, ranked: &[Vec<usize>], distances: &[f64], k1: usize) -> Vec<f64> {
    let reciprocal = |p: usize, k: usize| -> Vec<usize> {
        let near = |q: usize| &ranked[q][..(k + 1).min(ranked[q].len())];
        near(p).iter().copied().filter(|&g| near(g).contains(&p)).collect()
    };
    let own = reciprocal(p, k1);
    let mut expanded = own.clone();
    for &q in &own {
        let theirs = reciprocal(q, k1.div_ceil(2));
        let shared = theirs.iter().filter(|g| own.contains(g)).count();
        if 3 * shared >= 2 * theirs.len() {
            expanded.extend(theirs);
        }
    }
    expanded.sort_unstable();
    expanded.dedup();
    let mut encoding = vec![0.0; ranked.len()];
    let sum: f64 = expanded.iter().map(|&g| (-distances[g]).exp()).sum();
    for g in expanded {
        encoding[g] = (-distances[g]).exp() / sum;
    }
    encoding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(degrees: f64) -> Vec<f32> {
        let angle = degrees.to_radians();
        vec![angle.cos() as f32, angle.sin() as f32]
    }

    #[test]
    fn a_hit_in_the_querys_own_group_passes_a_nearer_one_of_another_group() {
        // The query and its group lie at 0 to 8 degrees; one member at 12 is farther than the edge of the other group
        // at -10, whose own neighbors all lie away from the query.
        let group = [2.0, 4.0, 6.0, 8.0, 12.0];
        let others = [-10.0, -11.0, -12.0, -13.0, -14.0, -15.0];
        let vectors: Vec<Vec<f32>> = std::iter::once(0.0).chain(group).chain(others).map(at).collect();
        let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let settings = KReciprocal { candidates: 20, k1: 4, k2: 2, lambda: 0.3 };
        let distances = k_reciprocal_distances(&vectors, &settings);
        assert!(distances[4] < distances[5], "{distances:?}");
        let plain = k_reciprocal_distances(&vectors, &KReciprocal { lambda: 1.0, ..settings });
        assert!(plain[4] > plain[5], "without it the order is that of the distances");
    }

    #[test]
    fn few_candidates_are_no_trouble() {
        let vectors = [at(0.0), at(5.0)];
        let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        assert_eq!(k_reciprocal_distances(&vectors, &KReciprocal::default()).len(), 1);
        assert!(k_reciprocal_distances(&vectors[..1], &KReciprocal::default()).is_empty());
    }
}
