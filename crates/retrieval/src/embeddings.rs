//! Unit embeddings: the only form in which search and metrics take vectors.
//!
//! Every metric of this crate is defined on the cosine similarity. With rows of length one that is the inner product, so
//! normalizing once at the door removes the question "was this normalized?" everywhere behind it.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Result, RetrievalError};

/// A row whose squared length is this close to one counts as normalized: the rounding of a normalized `f32` row.
const UNIT_TOLERANCE: f64 = 2.4e-7;

/// Rows of length one, `[n, dim]`, contiguous and row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitEmbeddings {
    values: Vec<f32>,
    dim: usize,
}

impl UnitEmbeddings {
    /// Takes `[n, dim]` values and divides each row by its Euclidean length.
    ///
    /// Lengths are computed in `f64`. A row that already has length one to `f32` rounding is kept bit for bit, so that
    /// writing embeddings and reading them again changes nothing.
    ///
    /// # Errors
    /// A number of values that is not a multiple of `dim`, `dim` of zero, a row of zeros, NaN or infinity (the row is
    /// named), or more than `u32::MAX` rows.
    ///
    /// # Example
    /// ```
    /// use kinsight_retrieval::UnitEmbeddings;
    ///
    /// let embeddings = UnitEmbeddings::new(vec![3.0, 4.0, 0.0, 2.0], 2)?;
    /// assert_eq!(embeddings.row(0), [0.6, 0.8]);
    /// assert_eq!(embeddings.row(1), [0.0, 1.0]);
    /// # Ok::<(), kinsight_retrieval::RetrievalError>(())
    /// ```
    pub fn new(mut values: Vec<f32>, dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(RetrievalError::Shape { values: values.len(), dim });
        }
        let rows = values.len() / dim;
        if rows > u32::MAX as usize {
            return Err(RetrievalError::TooManyRows { rows, limit: u32::MAX as usize });
        }
        // The first bad row is reported, with any number of threads.
        let bad = values
            .par_chunks_mut(dim)
            .enumerate()
            .filter_map(|(row, values)| normalize(values, row).err())
            .min_by_key(offending_row);
        match bad {
            Some(error) => Err(error),
            None => Ok(Self { values, dim }),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `index`, of length [`dim`](Self::dim).
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as indexing a slice does.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// All values, `[len, dim]` row-major.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// Gives the values back, `[len, dim]` row-major.
    pub fn into_vec(self) -> Vec<f32> {
        self.values
    }

    /// The rows at `indices`, in that order: a subset, a group, a resample.
    ///
    /// # Errors
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        let mut values = Vec::with_capacity(indices.len() * self.dim);
        for &index in indices {
            if index >= self.len() {
                return Err(RetrievalError::Setting {
                    name: "indices",
                    found: index.to_string(),
                    expected: "a row of the embeddings",
                });
            }
            values.extend_from_slice(self.row(index));
        }
        Ok(Self { values, dim: self.dim })
    }

    /// A run of rows as one slice, `[range.len(), dim]`.
    pub(crate) fn rows(&self, range: Range<usize>) -> &[f32] {
        &self.values[range.start * self.dim..range.end * self.dim]
    }
}

fn normalize(row_values: &mut [f32], row: usize) -> Result<()> {
    let mut squared = 0.0_f64;
    for (column, &value) in row_values.iter().enumerate() {
        if !value.is_finite() {
            return Err(RetrievalError::NotFinite { row, column, value });
        }
        squared += f64::from(value) * f64::from(value);
    }
    if squared == 0.0 {
        return Err(RetrievalError::ZeroRow { row });
    }
    if (squared - 1.0).abs() > UNIT_TOLERANCE {
        let length = squared.sqrt();
        for value in row_values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    Ok(())
}

fn offending_row(error: &RetrievalError) -> usize {
    match error {
        RetrievalError::NotFinite { row, .. } | RetrievalError::ZeroRow { row } => *row,
        _ => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_length_one_and_unit_rows_stay_as_they_are() {
        let tiny = f32::MIN_POSITIVE / 4.0;
        let values = vec![3.0, 4.0, 1e30, -1e30, tiny, 0.0];
        let embeddings = UnitEmbeddings::new(values, 2).unwrap();
        assert_eq!(embeddings.row(0), [0.6, 0.8]);
        assert!((embeddings.row(1)[0] - 0.5_f32.sqrt()).abs() < 1e-7);
        assert_eq!(embeddings.row(2), [1.0, 0.0]);
        let again = UnitEmbeddings::new(embeddings.as_slice().to_vec(), 2).unwrap();
        assert_eq!(again, embeddings);
    }

    #[test]
    fn the_first_bad_row_is_named() {
        let mut values = vec![1.0; 40];
        values[14] = f32::NAN;
        values[22] = f32::INFINITY;
        let error = UnitEmbeddings::new(values.clone(), 4).unwrap_err();
        assert_eq!(error.to_string(), "embeddings: row 3, column 2 is NaN, expected a finite number");
        values[4..8].fill(0.0);
        let error = UnitEmbeddings::new(values, 4).unwrap_err();
        assert_eq!(error.to_string(), "embeddings: row 1 is all zeros, so that it has no direction");
    }

    #[test]
    fn ragged_and_widthless_values_are_refused() {
        assert!(matches!(UnitEmbeddings::new(vec![1.0; 5], 2), Err(RetrievalError::Shape { values: 5, dim: 2 })));
        assert!(matches!(UnitEmbeddings::new(vec![], 0), Err(RetrievalError::Shape { .. })));
        assert!(UnitEmbeddings::new(vec![], 3).unwrap().is_empty());
    }

    #[test]
    fn select_takes_rows_in_order() {
        let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0], 2).unwrap();
        assert_eq!(embeddings.select(&[2, 0]).unwrap().as_slice(), [-1.0, 0.0, 1.0, 0.0]);
        assert!(embeddings.select(&[3]).is_err());
    }
}
