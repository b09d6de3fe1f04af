//! Whitening: directions in which training embeddings vary little count as much as those in which they vary a lot.
//!
//! ```text
//! y = L^-1 (x - mean) / |L^-1 (x - mean)|,   L L^T = C + ridge * trace(C) / D * I
//! ```
//! C is the covariance of the training embeddings. Source: Jégou and Chum, "Negative evidences and co-occurences in image
//! retrieval: the benefit of PCA and whitening" (2012). Differs from the source: the factor is Cholesky's, which gives PCA
//! whitening but for a rotation, and cosine similarities do not see rotations; no dimension is dropped, and a ridge takes
//! the place of that, because there may be fewer training images than dimensions.

use rayon::prelude::*;

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Share of the mean variance that is added to every direction.
const RIDGE: f64 = 1e-2;

/// A fitted whitening.
#[derive(Debug, Clone)]
pub struct Whitening {
    mean: Vec<f64>,
    /// Lower triangle, `[D, D]` row-major.
    factor: Vec<f64>,
}

impl Whitening {
    /// Fits mean and covariance to training embeddings; memory grows with the square of the width, not of the rows.
    ///
    /// # Errors
    /// Fewer than two rows, or identical rows.
    pub fn fit(training: &UnitEmbeddings) -> Result<Self> {
        let (rows, dim) = (training.len(), training.dim());
        if rows < 2 {
            return Err(RetrievalError::Empty { what: "the set of embeddings to fit a whitening to" });
        }
        let mut mean = vec![0.0; dim];
        for row in 0..rows {
            mean.iter_mut().zip(training.row(row)).for_each(|(mean, &value)| *mean += f64::from(value));
        }
        mean.iter_mut().for_each(|mean| *mean /= rows as f64);
        // One row of the covariance a task, each summed in the order of the rows: the same bits for any number of threads.
        let mut factor = vec![0.0; dim * dim];
        factor.par_chunks_mut(dim).enumerate().for_each(|(i, sums)| {
            for row in 0..rows {
                let values = training.row(row);
                let left = f64::from(values[i]) - mean[i];
                for (j, sum) in sums[..=i].iter_mut().enumerate() {
                    *sum += left * (f64::from(values[j]) - mean[j]);
                }
            }
            sums.iter_mut().for_each(|sum| *sum /= rows as f64);
        });
        let trace: f64 = (0..dim).map(|i| factor[i * dim + i]).sum();
        let ridge = RIDGE * trace / dim as f64;
        if ridge <= 0.0 {
            let found = "identical rows".to_owned();
            return Err(RetrievalError::Setting {
                name: "training embeddings",
                found,
                expected: "rows that are not all equal",
            });
        }
        (0..dim).for_each(|i| factor[i * dim + i] += ridge);
        factorise(&mut factor, dim);
        Ok(Self { mean, factor })
    }

    /// The whitened embeddings.
    ///
    /// # Errors
    /// Another width, or a row that is exactly the mean.
    pub fn apply(&self, embeddings: &UnitEmbeddings) -> Result<UnitEmbeddings> {
        let dim = self.mean.len();
        if embeddings.dim() != dim {
            return Err(RetrievalError::WidthMismatch { queries: embeddings.dim(), gallery: dim });
        }
        let mut values = vec![0.0_f32; embeddings.len() * dim];
        values.par_chunks_mut(dim).enumerate().for_each(|(row, out)| {
            let mut solved = vec![0.0_f64; dim];
            for (i, &value) in embeddings.row(row).iter().enumerate() {
                let factor = &self.factor[i * dim..i * dim + i];
                let known: f64 = factor.iter().zip(&solved[..i]).map(|(a, b)| a * b).sum();
                solved[i] = (f64::from(value) - self.mean[i] - known) / self.factor[i * dim + i];
            }
            out.iter_mut().zip(solved).for_each(|(out, value)| *out = value as f32);
        });
        UnitEmbeddings::new(values, dim)
    }
}

/// Cholesky's factor in place of the lower triangle of a positive definite matrix.
fn factorise(matrix: &mut [f64], dim: usize) {
    for i in 0..dim {
        let (above, rest) = matrix.split_at_mut(i * dim);
        let row = &mut rest[..dim];
        for j in 0..i {
            let other = &above[j * dim..j * dim + j + 1];
            let known: f64 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - known) / other[j];
        }
        let known: f64 = row[..i].iter().map(|a| a * a).sum();
        // The ridge keeps the pivot positive; rounding must not undo that.
        row[i] = (row[i] - known).max(f64::MIN_POSITIVE).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_training_rows_vary_equally_in_all_directions() {
        let dim = 4;
        // Along the third axis there is much less variation than along the others.
        let values: Vec<f32> = (0..400)
            .flat_map(|i| {
                let wave = |f: f32| (i as f32 * f).sin();
                [1.0 + wave(1.1), 2.0 * wave(2.3), 0.05 * wave(3.7), wave(0.7) + 0.5 * wave(1.1)]
            })
            .collect();
        let training = UnitEmbeddings::new(values, dim).unwrap();
        let whitened = Whitening::fit(&training).unwrap().apply(&training).unwrap();
        let variances = |embeddings: &UnitEmbeddings| {
            let variance = |axis: usize| {
                let values: Vec<f64> = (0..400).map(|row| f64::from(embeddings.row(row)[axis])).collect();
                let mean = values.iter().sum::<f64>() / 400.0;
                values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 400.0
            };
            (0..dim).map(variance).collect::<Vec<f64>>()
        };
        let ratio = |v: Vec<f64>| v.iter().copied().fold(0.0, f64::max) / v.iter().copied().fold(1.0, f64::min);
        assert!(ratio(variances(&training)) > 50.0);
        assert!(ratio(variances(&whitened)) < 8.0, "{:?}", variances(&whitened));
    }

    #[test]
    fn the_factor_gives_the_matrix_back() {
        let matrix = [4.0, 0.0, 0.0, 2.0, 5.0, 0.0, -2.0, 1.0, 6.0];
        let mut factor = matrix;
        factorise(&mut factor, 3);
        for i in 0..3 {
            for j in 0..=i {
                let product: f64 = (0..=j).map(|k| factor[i * 3 + k] * factor[j * 3 + k]).sum();
                assert!((product - matrix[i * 3 + j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_cannot_be_whitened_is_refused() {
        let same = UnitEmbeddings::new([0.0, 1.0].repeat(5), 2).unwrap();
        assert!(Whitening::fit(&same).is_err());
        let training = UnitEmbeddings::new(vec![0.0, 1.0, 1.0, 0.0], 2).unwrap();
        let wide = UnitEmbeddings::new(vec![0.0, 1.0, 1.0], 3).unwrap();
        assert!(Whitening::fit(&training).unwrap().apply(&wide).is_err());
    }
}
