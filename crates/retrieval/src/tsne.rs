//! A map of the embeddings: two numbers for each, near where they are near, by exact t-SNE.
//!
//! For looking, not for measuring: distances between far groups mean little. It takes time and memory with the square
//! of the number of items, so a caller shows a sample of a large set.
//!
//! ```text
//! p_j|i = exp(-|x_i - x_j|^2 / 2 s_i^2) / sum_k .., s_i such that 2^entropy(p_.|i) = perplexity;  p_ij = (p_j|i + p_i|j) / 2n
//! q_ij  = (1 + |y_i - y_j|^2)^-1 / Z;  minimise sum_ij p_ij log(p_ij / q_ij) over y
//! ```
//! Sources: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008), its optimiser included (momentum, gains,
//! early exaggeration). Differs from the source: y starts from the first two principal components instead of noise
//! (Kobak and Berens, "The art of using t-SNE for single-cell transcriptomics", 2019), which keeps the large-scale
//! arrangement and needs no random numbers; and the learning rate is n / 48, at least 50 (Belkina et al., 2019, as in
//! scikit-learn).

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Settings of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct TsneConfig {
    /// Roughly how many neighbours each item should keep. Default 20; at most a third of the items is used.
    pub perplexity: f64,
    /// Steps of gradient descent. Default 500.
    pub iterations: usize,
    /// The most items accepted, since memory grows with their square. Default 3000 (two matrices, 72 MB).
    pub max_items: usize,
}

impl Default for TsneConfig {
    fn default() -> Self {
        Self { perplexity: 20.0, iterations: 500, max_items: 3000 }
    }
}

/// Steps during which attraction is exaggerated twelvefold, and the lower momentum holds.
const EARLY: usize = 150;
const EXAGGERATION: f64 = 12.0;

/// The place of each row, in row order, centred on the origin.
///
/// # Errors
/// More rows than `max_items`, or a perplexity that is not above zero.
pub fn tsne(embeddings: &UnitEmbeddings, config: &TsneConfig) -> Result<Vec<[f64; 2]>> {
    let n = embeddings.len();
    if n > config.max_items {
        return Err(RetrievalError::TooManyRows { rows: n, limit: config.max_items });
    }
    if config.perplexity.is_nan() || config.perplexity <= 0.0 {
        let found = config.perplexity.to_string();
        return Err(RetrievalError::Setting { name: "perplexity", found, expected: "a number above 0" });
    }
    let mut places = principal_components(embeddings);
    if n < 4 {
        return Ok(places);
    }
    let affinities = affinities(embeddings, config.perplexity.min((n - 1) as f64 / 3.0));
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    let mut step = vec![[0.0; 2]; n];
    let mut gain = vec![[1.0; 2]; n];
    for iteration in 0..config.iterations {
        let early = iteration < EARLY.min(config.iterations / 3);
        let (exaggeration, momentum) = if early { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(&affinities, &places, exaggeration);
        let coordinates = places.iter_mut().flatten().zip(step.iter_mut().flatten()).zip(gain.iter_mut().flatten());
        for (((place, step), gain), slope) in coordinates.zip(gradient.iter().flatten()) {
            // A step against the slope goes on well, one along it has overshot.
            let overshot = (*slope > 0.0) == (*step > 0.0);
            *gain = if overshot { f64::max(*gain * 0.8, 0.01) } else { *gain + 0.2 };
            *step = momentum * *step - rate * *gain * slope;
            *place += *step;
        }
        centre(&mut places);
    }
    Ok(places)
}

/// `p_ij`, `[n, n]`.
fn affinities(embeddings: &UnitEmbeddings, perplexity: f64) -> Vec<f32> {
    let n = embeddings.len();
    let conditional: Vec<Vec<f64>> = (0..n)
        .into_par_iter()
        .map(|i| {
            // |x - y|^2 = 2 - 2 x . y for rows of length one.
            let distances: Vec<f64> = (0..n).map(|j| 2.0 - 2.0 * dot(embeddings.row(i), embeddings.row(j))).collect();
            shares(&distances, i, perplexity)
        })
        .collect();
    (0..n * n)
        .into_par_iter()
        .map(|place| {
            let (i, j) = (place / n, place % n);
            ((conditional[i][j] + conditional[j][i]) / (2 * n) as f64) as f32
        })
        .collect()
}

/// `p_j|i` of the precision that gives the perplexity, by bisection.
fn shares(distances: &[f64], own: usize, perplexity: f64) -> Vec<f64> {
    let nearest = distances.iter().enumerate().filter(|(j, _)| *j != own).map(|(_, d)| *d).fold(f64::MAX, f64::min);
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0);
    let mut shares = vec![0.0; distances.len()];
    for _ in 0..60 {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for (j, (share, distance)) in shares.iter_mut().zip(distances).enumerate() {
            let above = distance - nearest;
            *share = if j == own { 0.0 } else { (-precision * above).exp() };
            sum += *share;
            weighted += *share * above;
        }
        shares.iter_mut().for_each(|share| *share /= sum);
        let entropy = sum.ln() + precision * weighted / sum;
        let excess = entropy - perplexity.ln();
        if excess.abs() < 1e-5 {
            break;
        }
        if excess > 0.0 {
            low = precision
        } else {
            high = precision
        }
        precision = if high.is_finite() { (low + high) / 2.0 } else { precision * 2.0 };
    }
    shares
}

fn gradient(affinities: &[f32], places: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let n = places.len();
    // For each item: pull, push without its normaliser, and its share of the normaliser.
    let rows: Vec<([f64; 2], [f64; 2], f64)> = (0..n)
        .into_par_iter()
        .map(|i| {
            let (mut pull, mut push, mut total) = ([0.0; 2], [0.0; 2], 0.0);
            for (j, place) in places.iter().enumerate() {
                let (x, y) = (places[i][0] - place[0], places[i][1] - place[1]);
                let near = if i == j { 0.0 } else { 1.0 / (1.0 + x * x + y * y) };
                let attraction = f64::from(affinities[i * n + j]) * near;
                let repulsion = near * near;
                pull = [pull[0] + attraction * x, pull[1] + attraction * y];
                push = [push[0] + repulsion * x, push[1] + repulsion * y];
                total += near;
            }
            (pull, push, total)
        })
        .collect();
    let total = rows.iter().map(|row| row.2).sum::<f64>().max(f64::MIN_POSITIVE);
    let of = |pull: f64, push: f64| 4.0 * (exaggeration * pull - push / total);
    rows.into_iter().map(|(pull, push, _)| [of(pull[0], push[0]), of(pull[1], push[1])]).collect()
}

/// The first two principal components, scaled to the small spread that t-SNE starts from.
fn principal_components(embeddings: &UnitEmbeddings) -> Vec<[f64; 2]> {
    let (n, dim) = (embeddings.len(), embeddings.dim());
    let mut mean = vec![0.0; dim];
    for i in 0..n {
        mean.iter_mut().zip(embeddings.row(i)).for_each(|(mean, value)| *mean += f64::from(*value) / n as f64);
    }
    let rows: Vec<Vec<f64>> =
        (0..n).map(|i| embeddings.row(i).iter().zip(&mean).map(|(v, mean)| f64::from(*v) - mean).collect()).collect();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    let mut places = vec![[0.0; 2]; n];
    for component in 0..2 {
        // Power iteration from a start that no data is likely to be at right angles to.
        let mut axis: Vec<f64> = (0..dim).map(|d| 1.0 + (d as f64 * 0.618 + component as f64).fract()).collect();
        for _ in 0..50 {
            let mut next = vec![0.0; dim];
            for row in &rows {
                let along = inner(row, &axis);
                next.iter_mut().zip(row).for_each(|(next, value)| *next += along * value);
            }
            for earlier in &axes {
                let along = inner(&next, earlier);
                next.iter_mut().zip(earlier).for_each(|(next, value)| *next -= along * value);
            }
            let length = inner(&next, &next).sqrt();
            if length < 1e-300 {
                break;
            }
            axis = next.into_iter().map(|value| value / length).collect();
        }
        for (place, row) in places.iter_mut().zip(&rows) {
            place[component] = inner(row, &axis);
        }
        axes.push(axis);
    }
    let spread = (places.iter().map(|place| place[0] * place[0]).sum::<f64>() / n.max(1) as f64).sqrt();
    if spread > 0.0 {
        places.iter_mut().flatten().for_each(|value| *value *= 1e-2 / spread);
    }
    places
}

fn centre(places: &mut [[f64; 2]]) {
    for axis in 0..2 {
        let mean = places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64;
        places.iter_mut().for_each(|place| place[axis] -= mean);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Groups of rows around directions drawn at random.
    fn groups(groups: usize, each: usize, spread: f32) -> UnitEmbeddings {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = || -> Vec<f32> { (0..24).map(|_| rng.random::<f32>() - 0.5).collect() };
        let mut values = Vec::new();
        for _ in 0..groups {
            let centre = draw();
            for _ in 0..each {
                values.extend(centre.iter().zip(draw()).map(|(c, noise)| c + spread * noise));
            }
        }
        UnitEmbeddings::new(values, 24).unwrap()
    }

    #[test]
    fn neighbours_on_the_map_are_of_the_same_group() {
        let (count, each) = (6, 15);
        let embeddings = groups(count, each, 0.6);
        let places = tsne(&embeddings, &TsneConfig::default()).unwrap();
        assert!(places.iter().flatten().all(|value| value.is_finite()));
        let right = (0..places.len()).filter(|&i| {
            let distance = |j: usize| (places[i][0] - places[j][0]).powi(2) + (places[i][1] - places[j][1]).powi(2);
            let nearest = (0..places.len()).filter(|&j| j != i).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            nearest.is_some_and(|j| i / each == j / each)
        });
        assert!(right.count() >= count * each - 1);
        assert_eq!(places, tsne(&embeddings, &TsneConfig::default()).unwrap());
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        let embeddings = groups(3, 4, 0.8);
        let n = embeddings.len();
        let affinities = affinities(&embeddings, 3.0);
        let sum: f64 = affinities.iter().map(|p| f64::from(*p)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut places: Vec<[f64; 2]> = (0..n).map(|_| [rng.random(), rng.random()]).collect();
        let divergence = |places: &[[f64; 2]]| {
            let near = |i: usize, j: usize| {
                1.0 / (1.0 + (places[i][0] - places[j][0]).powi(2) + (places[i][1] - places[j][1]).powi(2))
            };
            let pairs = || (0..n).flat_map(move |i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
            let total: f64 = pairs().map(|(i, j)| near(i, j)).sum();
            pairs()
                .map(|(i, j)| {
                    let p = f64::from(affinities[i * n + j]);
                    if p == 0.0 { 0.0 } else { p * (p / (near(i, j) / total)).ln() }
                })
                .sum::<f64>()
        };
        let gradient = gradient(&affinities, &places, 1.0);
        for (i, axis) in [(0, 0), (5, 1), (11, 0)] {
            let at = places[i][axis];
            places[i][axis] = at + 1e-5;
            let above = divergence(&places);
            places[i][axis] = at - 1e-5;
            let below = divergence(&places);
            places[i][axis] = at;
            let slope = (above - below) / 2e-5;
            assert!((slope - gradient[i][axis]).abs() < 1e-6, "{slope} {}", gradient[i][axis]);
        }
    }

    #[test]
    fn each_item_keeps_the_neighbours_asked_for() {
        let distances: Vec<f64> = (0..50).map(|j| j as f64 * 0.02).collect();
        let shares = shares(&distances, 7, 12.0);
        let entropy: f64 = shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        assert!((entropy.exp() - 12.0).abs() < 1e-2);
        assert_eq!(shares[7], 0.0);
    }

    #[test]
    fn few_items_equal_items_and_too_many() {
        for rows in [1, 2, 3, 5] {
            let same = UnitEmbeddings::new([1.0, 0.0].repeat(rows), 2).unwrap();
            let places = tsne(&same, &TsneConfig { iterations: 20, ..TsneConfig::default() }).unwrap();
            assert_eq!(places.len(), rows);
            assert!(places.iter().flatten().all(|value| value.is_finite()), "{places:?}");
        }
        let many = UnitEmbeddings::new([1.0, 0.0].repeat(9), 2).unwrap();
        assert!(tsne(&many, &TsneConfig { max_items: 8, ..TsneConfig::default() }).is_err());
        assert!(tsne(&many, &TsneConfig { perplexity: 0.0, ..TsneConfig::default() }).is_err());
    }
}
