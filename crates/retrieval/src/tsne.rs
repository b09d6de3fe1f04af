//! A map of the embeddings: two numbers for each, near where they are near, by exact t-SNE.
//!
//! For looking, not for measuring: distances between far groups mean little. It takes time and memory with the square
//! of the number of items, so a caller shows a sample of a large set.
//!
//! The optimizer is that of the crate bhtsne: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008). Differs from
//! the source: it starts from the first two principal components instead of noise (Kobak and Berens, "The art of using
//! t-SNE for single-cell transcriptomics", 2019), which keeps the large-scale arrangement and needs no random numbers.

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Settings of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct TsneConfig {
    /// Roughly how many neighbors each item should keep. Default 20; at most a third of the items is used.
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

/// The place of each row, in row order, centerd on the origin: the same on every run.
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
    let start = principal_components(embeddings);
    // Few items or equal ones have no neighborhoods to keep.
    let spread = start.iter().flatten().any(|value| value.abs() > 0.0);
    if n < 4 || !spread {
        return Ok(start);
    }
    let rows: Vec<&[f32]> = (0..n).map(|i| embeddings.row(i)).collect();
    // On one thread: its sums over threads differ in their last bits from run to run, and the map with them.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let fit = || {
        bhtsne::tSNE::<f64, &[f32]>::new(&rows)
            .perplexity(config.perplexity.min((n - 1) as f64 / 3.0))
            .epochs(config.iterations)
            .stop_lying_epoch(EARLY.min(config.iterations / 3))
            .momentum_switch_epoch(EARLY.min(config.iterations / 3))
            .initial_embedding(start.as_flattened())
            .exact(|a, b| squared_distance(a, b))
            .embedding()
    };
    let mut places: Vec<[f64; 2]> = match alone {
        Ok(pool) => pool.install(fit),
        Err(_) => fit(),
    }
    .as_chunks()
    .0
    .to_vec();
    center(&mut places);
    Ok(places)
}

/// Steps during which attraction is exaggerated twelvefold, and the lower momentum holds.
const EARLY: usize = 150;

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
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

fn center(places: &mut [[f64; 2]]) {
    for axis in 0..2 {
        let mean = places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64;
        places.iter_mut().for_each(|place| place[axis] -= mean);
    }
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
            let center = draw();
            for _ in 0..each {
                values.extend(center.iter().zip(draw()).map(|(c, noise)| c + spread * noise));
            }
        }
        UnitEmbeddings::new(values, 24).unwrap()
    }

    #[test]
    fn neighbors_on_the_map_are_of_the_same_group() {
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
