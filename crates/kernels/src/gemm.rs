//! Matrix products on one thread: a packed right operand, a left operand read where it lies, and a sink that takes
//! each finished piece of a row while it is still in the first-level cache.
//!
//! The sums of one element run over the depth in ascending order whatever the tile it falls in, so a result does not
//! depend on how rows were split among tasks. Depth is cut into passes of at most [`MAX_DEPTH_BYTES`]; partial sums between
//! passes live in a buffer of the thread.

mod pack;
mod public;
mod sinks;

use std::cell::RefCell;

pub(crate) use pack::Packed;
pub use public::{Matrix, gemm, gemm_nt};
pub(crate) use sinks::{Add, Bias, Residual, Scaled, Sink, Store};

use crate::cpu::{Cpu, Kernel, Simd, TILE_FLOATS, Tile};
use crate::element::Element;

/// Longest depth of one pass, in bytes: a column panel of that depth stays in the second-level cache along with the rows.
const MAX_DEPTH_BYTES: usize = 3072;

/// Most rows that share one walk over the right operand: with [`MAX_DEPTH_BYTES`] half of a second-level cache of 1 MiB.
const MAX_ROWS: usize = 120;

/// The left operand: element (r, k) is `data[r * row_stride + k * depth_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, E> {
    pub data: &'a [E],
    pub row_stride: usize,
    pub depth_stride: usize,
    /// Whether an odd depth may be read one element too far: each row is followed by a finite number of its own.
    pub padded: bool,
}

impl<'a, E> Left<'a, E> {
    /// Rows that lie `row_stride` apart.
    pub(crate) fn rows(data: &'a [E], row_stride: usize) -> Self {
        Self { data, row_stride, depth_stride: 1, padded: false }
    }

    /// Rows that lie `row_stride` apart, each followed by at least one unused finite element where the depth is odd.
    pub(crate) fn padded_rows(data: &'a [E], row_stride: usize) -> Self {
        Self { padded: true, ..Self::rows(data, row_stride) }
    }

    /// The transpose of a matrix whose rows lie `depth_stride` apart.
    pub(crate) fn transposed(data: &'a [E], depth_stride: usize) -> Self {
        Self { data, row_stride: 1, depth_stride, padded: false }
    }
}

/// `sink.store` receives every piece of `left x right`, `rows` rows high.
pub(crate) fn multiply<E: Element, K: Sink>(cpu: Cpu, rows: usize, left: Left<'_, E>, right: &Packed<E>, sink: &mut K) {
    let odd = !right.depth().is_multiple_of(2) && !left.padded;
    if E::PAIRS && (left.depth_stride != 1 || odd) {
        // Pairs must lie side by side, and the last one must not reach into a neighbor.
        let depth = right.depth();
        let stride = right.padded_depth();
        let mut copy = vec![E::default(); rows * stride];
        for (r, row) in copy.chunks_exact_mut(stride.max(1)).enumerate() {
            for (k, to) in row[..depth].iter_mut().enumerate() {
                *to = left.data[r * left.row_stride + k * left.depth_stride];
            }
        }
        let left = Left::rows(&copy, stride);
        return cpu.run(Multiply { rows, left, right, sink });
    }
    cpu.run(Multiply { rows, left, right, sink });
}

struct Multiply<'a, E, K> {
    rows: usize,
    left: Left<'a, E>,
    right: &'a Packed<E>,
    sink: &'a mut K,
}

thread_local! {
    /// Sums of earlier depth passes, kept between calls so that it is allocated once a thread.
    static PARTIAL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl<E: Element, K: Sink> Kernel for Multiply<'_, E, K> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let Self { rows, left, right, sink } = self;
        let passes = (right.padded_depth() * size_of::<E>()).div_ceil(MAX_DEPTH_BYTES).max(1);
        let pass_depth = right.padded_depth().div_ceil(passes).next_multiple_of(2);
        let blocks = rows.div_ceil(MAX_ROWS).max(1);
        let block_rows = rows.div_ceil(blocks).next_multiple_of(S::ROWS);
        let partial_cols = right.panels() * S::COLS;
        let mut partial = PARTIAL.take();
        if passes > 1 {
            partial.resize((block_rows * partial_cols).max(partial.len()), 0.0);
        }
        let mut out = [0.0; TILE_FLOATS];
        for first_row in (0..rows).step_by(block_rows.max(1)) {
            let block_end = rows.min(first_row + block_rows);
            for pass in 0..passes {
                let first_k = (pass * pass_depth).min(right.padded_depth());
                let depth = pass_depth.min(right.padded_depth() - first_k);
                for panel in 0..right.panels() {
                    let (vectors, b) = right.panel::<S>(panel, first_k, depth);
                    let first_col = panel * S::COLS;
                    let cols = S::COLS.min(right.cols() - first_col);
                    for row in (first_row..block_end).step_by(S::ROWS) {
                        let tile_rows = S::ROWS.min(block_end - row);
                        let at = row * left.row_stride + first_k * left.depth_stride;
                        let tile = Tile {
                            rows: tile_rows,
                            vectors,
                            depth: depth.min(if E::PAIRS { depth } else { right.depth() - first_k }),
                            a: left.data.get(at..).unwrap_or_default(),
                            row_stride: left.row_stride,
                            depth_stride: left.depth_stride,
                            b,
                        };
                        E::tile(simd, &tile, &mut out);
                        for (r, sums) in out.chunks_exact_mut(S::COLS).take(tile_rows).enumerate() {
                            if passes > 1 {
                                let at = (row + r - first_row) * partial_cols + first_col;
                                let kept = &mut partial[at..at + S::COLS];
                                if pass > 0 {
                                    for (sum, kept) in sums.iter_mut().zip(&*kept) {
                                        *sum += *kept;
                                    }
                                }
                                if pass + 1 < passes {
                                    kept.copy_from_slice(sums);
                                    continue;
                                }
                            }
                            sink.store(simd, row + r, first_col, &sums[..cols]);
                        }
                    }
                }
            }
        }
        PARTIAL.set(partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Bf16;
    use proptest::prelude::*;

    /// Numbers with few enough bits that every product and sum here is exact in f32, whatever its order.
    fn small_integers(seed: usize, len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + seed * 101 + (i / 7) * 13) % 15) as f32 - 7.0).collect()
    }

    fn check<E: Element>(rows: usize, cols: usize, depth: usize, transposed: bool) {
        let a = small_integers(1, rows * depth);
        let b = small_integers(2, cols * depth);
        let mut expected = vec![0.0; rows * cols];
        for r in 0..rows {
            for c in 0..cols {
                expected[r * cols + c] = (0..depth)
                    .map(|k| {
                        let a = if transposed { a[k * rows + r] } else { a[r * depth + k] };
                        a * b[c * depth + k]
                    })
                    .sum();
            }
        }
        let a: Vec<E> = a.into_iter().map(E::from_f32).collect();
        let left = if transposed { Left::transposed(&a, rows) } else { Left::rows(&a, depth) };
        for cpu in Cpu::available() {
            let mut packed = Packed::<E>::new(cpu, depth, cols);
            packed.set_columns(0, cols, &b, depth);
            let mut found = vec![f32::NAN; rows * cols];
            multiply(cpu, rows, left, &packed, &mut Store::new(&mut found, cols));
            assert_eq!(found, expected, "{} {rows}x{cols}x{depth}", cpu.name());
            let mut packed = Packed::<E>::new(cpu, depth, cols);
            let b_rows: Vec<f32> = (0..depth * cols).map(|i| b[(i % cols) * depth + i / cols]).collect();
            packed.set_depth_rows(0, depth, &b_rows, cols);
            let mut found = vec![f32::NAN; rows * cols];
            multiply(cpu, rows, left, &packed, &mut Store::new(&mut found, cols));
            assert_eq!(found, expected, "{} {rows}x{cols}x{depth}, by rows", cpu.name());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn every_instruction_set_multiplies_exactly(
            rows in 1usize..40, cols in 1usize..120, depth in 1usize..70, transposed in any::<bool>(),
        ) {
            check::<f32>(rows, cols, depth, transposed);
            check::<Bf16>(rows, cols, depth, transposed);
        }
    }

    #[test]
    fn long_depths_and_many_rows_are_cut_into_blocks_exactly() {
        check::<f32>(261, 17, 1031, false);
        check::<Bf16>(261, 17, 2051, false);
        check::<f32>(5, 49, 1600, true);
    }

    #[test]
    fn an_empty_depth_gives_zeros() {
        check::<f32>(3, 5, 0, false);
        check::<Bf16>(3, 5, 0, false);
    }
}
