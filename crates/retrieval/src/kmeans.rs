//! k-means with k-means++ seeds, for the metrics of a clustering.
//!
//! Lloyd's iteration on the unit rows with centers in the ball (not on the sphere), as the metric-learning literature runs
//! it before NMI. Seeded and independent of the number of threads: rows are assigned one by one, centers are summed in `f64`
//! in the order of the rows.
//!
//! Differs from k-means++ (Arthur and Vassilvitskii, 2007) where there are many clusters: seeds are drawn in up to 64 rounds,
//! all those of a round from the distances to the seeds of the rounds before, because one pass over all rows for each
//! of ten thousand seeds would take longer than the clustering. Up to 64 clusters it is k-means++ exactly.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};
use crate::scores::score_tile;

/// Rows and centers of a tile of similarities.
const BLOCK: usize = 256;

/// Most rounds in which seeds are drawn.
const SEED_ROUNDS: usize = 64;

/// Settings of k-means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KMeansConfig {
    /// Number of clusters; none takes the number of distinct labels when judging, and is an error in [`kmeans`].
    pub clusters: Option<usize>,
    /// Most iterations of a run; it ends earlier when no row changes its cluster. Default 20, faiss's.
    pub iterations: usize,
    /// Runs from different seeds; the one with the least sum of squared distances is kept. Default 3.
    pub restarts: usize,
    /// Seed of the draws. Default 0.
    pub seed: u64,
}

impl Default for KMeansConfig {
    fn default() -> Self {
        Self { clusters: None, iterations: 20, restarts: 3, seed: 0 }
    }
}

/// A clustering.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// Cluster of each row.
    pub assignments: Vec<i64>,
    /// Sum of squared distances of the rows to their centers.
    pub inertia: f64,
}

/// Clusters the rows.
///
/// # Errors
/// If `clusters` is missing, zero or above the number of rows, or `iterations` or `restarts` is zero.
pub fn kmeans(embeddings: &UnitEmbeddings, config: &KMeansConfig) -> Result<Clustering> {
    let clusters = config.clusters.unwrap_or(0);
    if clusters == 0 || clusters > embeddings.len() {
        let found = format!("{:?} for {} rows", config.clusters, embeddings.len());
        return Err(RetrievalError::Setting { name: "clusters", found, expected: "from 1 to the number of rows" });
    }
    for (name, value) in [("iterations", config.iterations), ("restarts", config.restarts)] {
        if value == 0 {
            return Err(RetrievalError::Setting { name, found: "0".to_owned(), expected: "at least 1" });
        }
    }
    let mut best = run(embeddings, clusters, config, 0);
    for restart in 1..config.restarts {
        let next = run(embeddings, clusters, config, restart);
        if next.inertia < best.inertia {
            best = next;
        }
    }
    Ok(best)
}

fn run(embeddings: &UnitEmbeddings, clusters: usize, config: &KMeansConfig, restart: usize) -> Clustering {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(restart as u64);
    let mut centers = draw_seeds(embeddings, clusters, &mut rng);
    let mut nearest = vec![Nearest::NONE; embeddings.len()];
    assign(embeddings, &centers, &mut nearest);
    for _ in 1..config.iterations {
        centers = means(embeddings, clusters, &mut nearest);
        let before: Vec<u32> = nearest.iter().map(|nearest| nearest.center).collect();
        assign(embeddings, &centers, &mut nearest);
        if nearest.iter().zip(before).all(|(nearest, before)| nearest.center == before) {
            break;
        }
    }
    Clustering {
        assignments: nearest.iter().map(|nearest| i64::from(nearest.center)).collect(),
        inertia: nearest.iter().map(|nearest| f64::from(nearest.distance)).sum(),
    }
}

/// A row's nearest center and its squared distance.
#[derive(Clone, Copy)]
struct Nearest {
    center: u32,
    distance: f32,
}

impl Nearest {
    const NONE: Self = Self { center: 0, distance: f32::INFINITY };
}

/// Draws rows with a chance proportional to the squared distance to the seeds drawn so far. Returns `[clusters, dim]`.
fn draw_seeds(embeddings: &UnitEmbeddings, clusters: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let dim = embeddings.dim();
    let mut distances = vec![Nearest { center: 0, distance: 1.0 }; embeddings.len()];
    let mut seeds: Vec<f32> = Vec::with_capacity(clusters * dim);
    let per_round = clusters.div_ceil(SEED_ROUNDS);
    while seeds.len() < clusters * dim {
        let first = seeds.is_empty();
        let drawn = seeds.len() / dim;
        let wanted = if first { 1 } else { per_round.min(clusters - drawn) };
        let cumulated: Vec<f64> = distances
            .iter()
            .scan(0.0, |sum, nearest| {
                *sum += f64::from(nearest.distance);
                Some(*sum)
            })
            .collect();
        let total = cumulated[cumulated.len() - 1];
        for _ in 0..wanted {
            let row = if total > 0.0 {
                let point = rng.random::<f64>() * total;
                cumulated.partition_point(|&sum| sum <= point).min(embeddings.len() - 1)
            } else {
                // Fewer distinct rows than clusters: any row will do.
                rng.random_range(0..embeddings.len())
            };
            seeds.extend_from_slice(embeddings.row(row));
        }
        if first {
            distances.fill(Nearest::NONE);
        }
        improve(embeddings, &seeds[drawn * dim..], drawn, &mut distances);
    }
    seeds
}

fn assign(embeddings: &UnitEmbeddings, centers: &[f32], nearest: &mut [Nearest]) {
    nearest.fill(Nearest::NONE);
    improve(embeddings, centers, 0, nearest);
}

/// Moves rows to those of the `centers`, numbered from `first`, that are strictly nearer than their nearest so far.
///
/// `|x - c|^2 = 1 - 2 <x, c> + |c|^2` for a unit row x.
fn improve(embeddings: &UnitEmbeddings, centers: &[f32], first: usize, nearest: &mut [Nearest]) {
    let dim = embeddings.dim();
    let squared: Vec<f32> = centers.chunks_exact(dim).map(|center| center.iter().map(|x| x * x).sum()).collect();
    nearest.par_chunks_mut(BLOCK).zip(embeddings.as_slice().par_chunks(BLOCK * dim)).for_each_init(
        || vec![0.0; BLOCK * BLOCK],
        |scores, (nearest, rows)| {
            for (block, (centers, squared)) in centers.chunks(BLOCK * dim).zip(squared.chunks(BLOCK)).enumerate() {
                let scores = &mut scores[..nearest.len() * squared.len()];
                score_tile(rows, centers, dim, scores);
                for (nearest, scores) in nearest.iter_mut().zip(scores.chunks_exact(squared.len())) {
                    for (place, (&score, &squared)) in scores.iter().zip(squared).enumerate() {
                        let distance = (1.0 - 2.0 * score + squared).max(0.0);
                        if distance < nearest.distance {
                            *nearest = Nearest { center: (first + block * BLOCK + place) as u32, distance };
                        }
                    }
                }
            }
        },
    );
}

/// The mean of each cluster's rows, `[clusters, dim]`. An empty cluster takes the row that is farthest from its center.
fn means(embeddings: &UnitEmbeddings, clusters: usize, nearest: &mut [Nearest]) -> Vec<f32> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); clusters];
    for (row, nearest) in (0_u32..).zip(nearest.iter()) {
        members[nearest.center as usize].push(row);
    }
    let empty: Vec<usize> = (0..clusters).filter(|&cluster| members[cluster].is_empty()).collect();
    if !empty.is_empty() {
        let mut by_distance: Vec<u32> = (0..nearest.len() as u32).collect();
        by_distance.sort_by(|&a, &b| nearest[b as usize].distance.total_cmp(&nearest[a as usize].distance));
        for (cluster, row) in empty.into_iter().zip(by_distance) {
            members[cluster].push(row);
        }
    }
    let dim = embeddings.dim();
    let mut centers = vec![0.0; clusters * dim];
    centers.par_chunks_mut(dim).zip(&members).for_each(|(center, members)| {
        let mut sum = vec![0.0_f64; dim];
        for &row in members {
            for (sum, &value) in sum.iter_mut().zip(embeddings.row(row as usize)) {
                *sum += f64::from(value);
            }
        }
        for (value, sum) in center.iter_mut().zip(sum) {
            *value = (sum / members.len() as f64) as f32;
        }
    });
    centers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `groups` tight groups around directions far apart.
    fn grouped(groups: usize, each: usize) -> UnitEmbeddings {
        let values = (0..groups * each)
            .flat_map(|row| {
                let angle =
                    (row % groups) as f32 / groups as f32 * std::f32::consts::TAU + (row / groups) as f32 * 1e-4;
                [angle.cos(), angle.sin()]
            })
            .collect();
        UnitEmbeddings::new(values, 2).unwrap()
    }

    #[test]
    fn finds_groups_that_are_apart() {
        let embeddings = grouped(5, 40);
        let config = KMeansConfig { clusters: Some(5), restarts: 5, ..KMeansConfig::default() };
        let clustering = kmeans(&embeddings, &config).unwrap();
        for row in 0..embeddings.len() {
            assert_eq!(clustering.assignments[row], clustering.assignments[row % 5]);
        }
        assert!(clustering.inertia < 1e-3);
    }

    #[test]
    fn threads_do_not_matter_and_seeds_do() {
        let values = (0..900 * 8).map(|i| ((i * i) as f32 * 0.31).sin()).collect();
        let embeddings = UnitEmbeddings::new(values, 8).unwrap();
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let config = KMeansConfig { clusters: Some(150), restarts: 1, seed, ..KMeansConfig::default() };
            pool.install(|| kmeans(&embeddings, &config).unwrap())
        };
        assert_eq!(run(1, 3), run(4, 3));
        assert_ne!(run(1, 3), run(1, 4));
    }

    #[test]
    fn more_clusters_than_distinct_rows_end_well() {
        let embeddings = UnitEmbeddings::new([1.0, 0.0, 0.0, 1.0].repeat(4), 2).unwrap();
        let clustering = kmeans(&embeddings, &KMeansConfig { clusters: Some(6), ..KMeansConfig::default() }).unwrap();
        assert_eq!(clustering.inertia, 0.0);
        assert!(kmeans(&embeddings, &KMeansConfig { clusters: Some(9), ..KMeansConfig::default() }).is_err());
        assert!(kmeans(&embeddings, &KMeansConfig::default()).is_err());
    }
}
