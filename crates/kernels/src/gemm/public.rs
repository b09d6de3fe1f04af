//! The products for callers outside the block: any strides, all threads.

use rayon::prelude::*;

use super::{Left, Packed, Scaled, multiply};
use crate::cpu::Cpu;
use crate::error::{KernelError, check_length};

/// Rows of the result that one task computes. Constant, so that tasks do not depend on the number of threads.
const TASK_ROWS: usize = 192;

/// A strided f32 matrix: element (r, c) is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Distance of one row to the next, in elements.
    pub row_stride: usize,
    /// Distance of one column to the next, in elements.
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix of `cols` columns.
    pub fn row_major(data: &'a [f32], cols: usize) -> Self {
        Self { data, row_stride: cols, col_stride: 1 }
    }

    /// The transpose: the same numbers with rows and columns exchanged.
    pub fn transpose(self) -> Self {
        Self { data: self.data, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// Fails unless element (rows - 1, cols - 1) exists.
    fn check(&self, what: &'static str, rows: usize, cols: usize) -> Result<(), KernelError> {
        if rows == 0 || cols == 0 {
            return Ok(());
        }
        let last = (rows - 1)
            .checked_mul(self.row_stride)
            .zip((cols - 1).checked_mul(self.col_stride))
            .and_then(|(r, c)| r.checked_add(c));
        match last {
            Some(last) if last < self.data.len() => Ok(()),
            _ => Err(KernelError::Length {
                what,
                expected: last.unwrap_or(usize::MAX).saturating_add(1),
                found: self.data.len(),
            }),
        }
    }
}

/// `c = alpha * a b + beta * c` on all threads; `c` is not read where `beta` is 0.
///
/// The result does not depend on the number of threads.
///
/// # Shapes
/// `a` is `[m, k]`, `b` is `[k, n]` (any strides), `c` is `[m, n]` row-major.
///
/// # Errors
/// [`KernelError::Length`] if a slice is too short for its matrix, or `c` is not `m * n` long.
pub fn gemm(
    [m, n, k]: [usize; 3],
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    beta: f32,
    c: &mut [f32],
) -> Result<(), KernelError> {
    a.check("left operand", m, k)?;
    b.check("right operand", k, n)?;
    check_length("result", m.saturating_mul(n), c.len())?;
    if c.is_empty() {
        return Ok(());
    }
    let cpu = Cpu::detect();
    let right = if b.col_stride == 1 {
        let mut right = Packed::<f32>::new(cpu, k, n);
        right.set_depth_rows_parallel(b.data, b.row_stride);
        right
    } else if b.row_stride == 1 {
        Packed::from_columns(cpu, k, n, b.data, b.col_stride)
    } else {
        let mut row_major = Vec::with_capacity(k * n);
        for r in 0..k {
            row_major.extend((0..n).map(|col| b.data[r * b.row_stride + col * b.col_stride]));
        }
        Packed::weight(cpu, &row_major, k, n)
    };
    c.par_chunks_mut(TASK_ROWS * n).enumerate().for_each(|(task, c)| {
        let left = Left {
            data: a.data.get(task * TASK_ROWS * a.row_stride..).unwrap_or_default(),
            row_stride: a.row_stride,
            depth_stride: a.col_stride,
            padded: false,
        };
        let mut sink = Scaled { out: c, stride: n, alpha, beta };
        let rows = sink.out.len() / n;
        multiply(cpu, rows, left, &right, &mut sink);
    });
    Ok(())
}

/// `c = a b^T` for row-major matrices: similarities of the rows of `a` with the rows of `b`.
///
/// # Shapes
/// `a` is `[m, k]`, `b` is `[n, k]`, `c` is `[m, n]`.
///
/// # Errors
/// [`KernelError::Length`] if a slice is not as long as its matrix.
pub fn gemm_nt([m, n, k]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) -> Result<(), KernelError> {
    check_length("left operand", m.saturating_mul(k), a.len())?;
    check_length("right operand", n.saturating_mul(k), b.len())?;
    let b = Matrix::row_major(b, k).transpose();
    gemm([m, n, k], 1.0, Matrix::row_major(a, k), b, 0.0, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_strides_give_the_same_product() {
        let (m, n, k) = (5, 19, 7);
        let a: Vec<f32> = (0..m * k).map(|i| (i % 11) as f32 - 5.0).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i % 13) as f32 - 6.0).collect();
        let mut expected = vec![1.0; m * n];
        for r in 0..m {
            for c in 0..n {
                let sum: f32 = (0..k).map(|i| a[r * k + i] * b[i * n + c]).sum();
                expected[r * n + c] = 2.0 * sum + 3.0;
            }
        }
        let spread: Vec<f32> = b.iter().flat_map(|&b| [b, f32::NAN]).collect();
        let by_columns: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
        let spread = Matrix { data: &spread, row_stride: 2 * n, col_stride: 2 };
        let plain = Matrix::row_major(&b, n);
        let transposed = Matrix::row_major(&by_columns, k).transpose();
        for b in [plain, transposed, spread] {
            let mut c = vec![1.0; m * n];
            gemm([m, n, k], 2.0, Matrix::row_major(&a, k), b, 3.0, &mut c).unwrap();
            assert_eq!(c, expected);
        }
    }

    #[test]
    fn short_slices_are_errors() {
        let mut c = [0.0; 4];
        let a = [0.0; 4];
        assert!(gemm_nt([2, 2, 2], &a[..3], &a, &mut c).is_err());
        assert!(gemm_nt([2, 2, 2], &a, &a, &mut c[..3]).is_err());
        let huge = Matrix { data: &a, row_stride: usize::MAX, col_stride: 1 };
        let plain = Matrix::row_major(&a, 2);
        assert!(gemm([2, 2, 2], 1.0, huge, plain, 0.0, &mut c).is_err());
        assert!(gemm([0, 0, 2], 1.0, huge, plain, 0.0, &mut []).is_ok());
    }
}
