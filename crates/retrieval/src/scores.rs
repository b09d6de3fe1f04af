//! Inner products: in bulk and fast for finding candidates, one by one and exact for deciding between near ties.

use kinsight_kernels::gemm_nt;
use pulp::{Simd, WithSimd};

/// Cosine similarities of two runs of unit rows.
///
/// A score does not depend on the tile in which it is computed.
///
/// # Shapes
/// `rows` `[m, dim]`, `columns` `[n, dim]`, `scores` `[m, n]`; all row-major.
pub(crate) fn score_tile(rows: &[f32], columns: &[f32], dim: usize, scores: &mut [f32]) {
    let (m, n) = (rows.len() / dim, columns.len() / dim);
    if let Err(error) = gemm_nt([m, n, dim], rows, columns, scores) {
        unreachable!("a tile of {m} x {n} scores does not fit its slices: {error}");
    }
}

/// How far a score of [`score_tile`] can lie from the true inner product of two unit rows of this width.
///
/// The standard bound for an inner product of n terms in any order of summation (Higham, Accuracy and Stability of
/// Numerical Algorithms, eq. 3.5): `|error| <= n u / (1 - n u) * sum |x_i y_i|`, with `u = 2^-24`, and the last sum at
/// most one by Cauchy-Schwarz. Four terms are added for the rounding of the rows' length and of the threshold itself.
pub(crate) fn score_error_bound(dim: usize) -> f32 {
    let n = (dim + 4) as f64 * f64::from(f32::EPSILON) / 2.0;
    (n / (1.0 - n).max(0.5)) as f32
}

/// The inner product in `f64`, summed in a fixed order, so that its bits are the same on every machine.
///
/// Products of two `f32` are exact in `f64`.
pub(crate) fn exact_score(a: &[f32], b: &[f32]) -> f64 {
    pulp::Arch::new().dispatch(ExactScore(a, b))
}

/// Structs and not closures: the call of a closure is not always inlined into the function that may use the processor's
/// instructions, and is then compiled for the least of processors.
struct ExactScore<'a>(&'a [f32], &'a [f32]);

impl WithSimd for ExactScore<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        exact_score_in_lanes(self.0, self.1)
    }
}

#[inline(always)]
fn exact_score_in_lanes(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a) * f64::from(b);
    }
    sums.iter().sum()
}

/// The inner product in `f32`, within [`score_error_bound`] of the true one.
pub(crate) fn fast_score(a: &[f32], b: &[f32]) -> f32 {
    pulp::Arch::new().dispatch(FastScore(a, b))
}

struct FastScore<'a>(&'a [f32], &'a [f32]);

impl WithSimd for FastScore<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        fast_score_in_lanes(self.0, self.1)
    }
}

#[inline(always)]
fn fast_score_in_lanes(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 64;
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += a * b;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Writes to `hits` the columns whose score reaches the row's bar, and returns how many.
///
/// `hits` must be at least as long as `scores`.
pub(crate) fn columns_reaching(scores: &[f32], row_bar: f32, hits: &mut [u32]) -> usize {
    pulp::Arch::new().dispatch(Hits { scores, hits, reaches: |_, score| score >= row_bar })
}

struct Hits<'a, F> {
    scores: &'a [f32],
    hits: &'a mut [u32],
    reaches: F,
}

impl<F: Fn(usize, f32) -> bool> WithSimd for Hits<'_, F> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        collect_hits(self.scores, self.hits, self.reaches)
    }
}

/// As [`columns_reaching`], but a column also counts when its score reaches that column's own bar.
pub(crate) fn columns_reaching_either(scores: &[f32], row_bar: f32, column_bars: &[f32], hits: &mut [u32]) -> usize {
    let bars = &column_bars[..scores.len()];
    let reaches = |column: usize, score| (score >= row_bar) | (score >= bars[column]);
    pulp::Arch::new().dispatch(Hits { scores, hits, reaches })
}

/// Most runs of scores hold no hit, so a run is first tested as a whole, which compiles to vector compares; a run with a
/// hit is then walked without branches, because which of its columns hit is not predictable.
#[inline(always)]
fn collect_hits(scores: &[f32], hits: &mut [u32], reaches: impl Fn(usize, f32) -> bool) -> usize {
    const RUN: usize = 32;
    let mut found = 0;
    let (runs, rest) = scores.as_chunks::<RUN>();
    for (run, start) in runs.iter().zip((0..).step_by(RUN)) {
        let mut any = false;
        for (&score, column) in run.iter().zip(start..) {
            any |= reaches(column, score);
        }
        if any {
            for (&score, column) in run.iter().zip(start..) {
                hits[found] = column as u32;
                found += usize::from(reaches(column, score));
            }
        }
    }
    for (&score, column) in rest.iter().zip(runs.len() * RUN..) {
        hits[found] = column as u32;
        found += usize::from(reaches(column, score));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn tile_and_exact_scores_agree_within_the_bound() {
        for (m, n, dim) in [(1, 1, 1), (3, 5, 7), (17, 33, 40), (64, 65, 129)] {
            let a = crate::UnitEmbeddings::new(values(m * dim, 1), dim).unwrap();
            let b = crate::UnitEmbeddings::new(values(n * dim, 2), dim).unwrap();
            let mut scores = vec![f32::NAN; m * n];
            score_tile(a.as_slice(), b.as_slice(), dim, &mut scores);
            for row in 0..m {
                for column in 0..n {
                    let exact = exact_score(a.row(row), b.row(column));
                    let plain: f64 =
                        a.row(row).iter().zip(b.row(column)).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
                    assert!((exact - plain).abs() < 1e-14);
                    let error = (f64::from(scores[row * n + column]) - exact).abs();
                    assert!(error <= f64::from(score_error_bound(dim)), "{error} at width {dim}");
                }
            }
        }
    }

    #[test]
    fn hits_are_those_a_plain_loop_finds() {
        for len in [0, 1, 31, 32, 33, 100] {
            let (scores, bars) = (values(len, 3), values(len, 4));
            for row_bar in [-2.0, 0.0, 0.99, 2.0] {
                let mut hits = vec![0; len];
                let found = columns_reaching(&scores, row_bar, &mut hits);
                let plain: Vec<u32> = (0..len as u32).filter(|&c| scores[c as usize] >= row_bar).collect();
                assert_eq!(hits[..found], plain);
                let found = columns_reaching_either(&scores, row_bar, &bars, &mut hits);
                let plain: Vec<u32> = (0..len as u32)
                    .filter(|&c| scores[c as usize] >= row_bar || scores[c as usize] >= bars[c as usize])
                    .collect();
                assert_eq!(hits[..found], plain);
            }
        }
    }
}
