//! The right operand of a product, laid out in the order in which tiles read it.
//!
//! ```text
//! panel p holds columns p*COLS .. and its width w is a whole number of registers (only the last panel is narrower):
//!   f32:  [depth][w]            bf16: [depth/2][w][2]   (depth rounded up to even by a row of zeros)
//! Padding columns are uninitialized; their results are discarded.
//! ```

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::cpu::{Cpu, Simd, TileShape};
use crate::element::Element;

/// A `depth x cols` right operand in panels.
pub(crate) struct Packed<E> {
    data: Buffer<E>,
    depth: usize,
    cols: usize,
    shape: TileShape,
}

impl<E: Element> Packed<E> {
    /// A matrix yet to be set.
    pub(crate) fn new(cpu: Cpu, depth: usize, cols: usize) -> Self {
        let mut packed = Self { data: Buffer::new(), depth: 0, cols: 0, shape: cpu.tile_shape() };
        packed.reset(depth, cols);
        packed
    }

    /// Reshapes; what it holds is unspecified until every column or row of the depth is set.
    pub(crate) fn reset(&mut self, depth: usize, cols: usize) {
        (self.depth, self.cols) = (depth, cols);
        let len = self.padded_depth() * cols.next_multiple_of(self.shape.lanes);
        self.data.resize(len);
        if E::PAIRS && !depth.is_multiple_of(2) {
            // The partner of the last row: it meets whatever follows the left operand's rows.
            for p in 0..self.panels() {
                let width = self.shape.panel_width(cols, p);
                let end = p * self.shape.cols * self.padded_depth() + self.padded_depth() * width;
                self.data[end - 2 * width..end].fill(E::default());
            }
        }
    }

    /// Packs a weight matrix for `x W^T`: `weight` is `[cols, depth]` row-major. Uses all threads.
    pub(crate) fn transposed_weight(cpu: Cpu, weight: &[f32], depth: usize, cols: usize) -> Self {
        Self::from_columns(cpu, depth, cols, weight, depth)
    }

    /// Packs columns that lie `stride` apart in `source`, using all threads.
    pub(crate) fn from_columns(cpu: Cpu, depth: usize, cols: usize, source: &[f32], stride: usize) -> Self {
        let mut packed = Self::new(cpu, depth, cols);
        let shape = packed.shape;
        let panel_len = (packed.padded_depth() * shape.cols).max(1);
        packed.data.par_chunks_mut(panel_len).enumerate().for_each(|(p, panel)| {
            let first = p * shape.cols;
            let width = shape.panel_width(cols, p);
            for c in first..cols.min(first + shape.cols) {
                write_column(panel, c - first, width, &source[c * stride..][..depth]);
            }
        });
        packed
    }

    /// Packs a weight matrix for `y W`: `weight` is `[depth, cols]` row-major. Uses all threads.
    pub(crate) fn weight(cpu: Cpu, weight: &[f32], depth: usize, cols: usize) -> Self {
        let mut packed = Self::new(cpu, depth, cols);
        packed.set_depth_rows_parallel(weight, cols);
        packed
    }

    /// Sets all rows of the depth from the rows of `source`, `stride` apart, using all threads.
    pub(crate) fn set_depth_rows_parallel<F: Element>(&mut self, source: &[F], stride: usize) {
        let (shape, cols, depth) = (self.shape, self.cols, self.depth);
        let panel_len = (self.padded_depth() * shape.cols).max(1);
        self.data.par_chunks_mut(panel_len).enumerate().for_each(|(p, panel)| {
            write_depth_rows(panel, shape, cols, p, 0, depth, source, stride);
        });
    }

    /// Sets columns `first..first + count` from the rows of `source`, `stride` apart and `depth` long.
    pub(crate) fn set_columns<F: Element>(&mut self, first: usize, count: usize, source: &[F], stride: usize) {
        for i in 0..count {
            let p = (first + i) / self.shape.cols;
            let width = self.shape.panel_width(self.cols, p);
            let at = p * self.shape.cols * self.padded_depth();
            let row = &source[i * stride..][..self.depth];
            write_column(&mut self.data[at..], first + i - p * self.shape.cols, width, row);
        }
    }

    /// Sets rows `first..first + count` of the depth from the rows of `source`, `stride` apart.
    pub(crate) fn set_depth_rows<F: Element>(&mut self, first: usize, count: usize, source: &[F], stride: usize) {
        let panel_len = self.padded_depth() * self.shape.cols;
        for p in 0..self.panels() {
            let panel = &mut self.data[p * panel_len..];
            write_depth_rows(panel, self.shape, self.cols, p, first, count, source, stride);
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The depth as stored: even for bf16.
    pub(crate) fn padded_depth(&self) -> usize {
        if E::PAIRS { self.depth.next_multiple_of(2) } else { self.depth }
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn panels(&self) -> usize {
        self.cols.div_ceil(self.shape.cols)
    }

    /// Registers in a row of panel `p`, and its rows `first_k..first_k + depth`; both even for bf16.
    #[inline(always)]
    pub(crate) fn panel<S: Simd>(&self, p: usize, first_k: usize, depth: usize) -> (usize, &[E]) {
        assert!(self.shape.cols == S::COLS && self.shape.lanes == S::LANES);
        let width = self.shape.panel_width(self.cols, p);
        let at = p * S::COLS * self.padded_depth() + first_k * width;
        (width / S::LANES, &self.data[at..at + depth * width])
    }
}

impl TileShape {
    /// Columns of panel `p`, padded to whole registers.
    #[inline(always)]
    fn panel_width(self, cols: usize, p: usize) -> usize {
        self.cols.min((cols - p * self.cols).next_multiple_of(self.lanes))
    }
}

/// Writes `values` as one column of a panel.
#[inline(always)]
fn write_column<E: Element, F: Element>(panel: &mut [E], column: usize, width: usize, values: &[F]) {
    if E::PAIRS {
        let rows = panel.chunks_exact_mut(2 * width);
        for (row, pair) in rows.zip(values.chunks(2)) {
            for (to, value) in row[2 * column..].iter_mut().zip(pair) {
                *to = E::from_f32(value.to_f32());
            }
        }
    } else {
        for (row, value) in panel.chunks_exact_mut(width).zip(values) {
            row[column] = E::from_f32(value.to_f32());
        }
    }
}

/// Writes the columns of panel `p` of `count` rows of the depth.
#[expect(clippy::too_many_arguments, reason = "one private loop nest")]
fn write_depth_rows<E: Element, F: Element>(
    panel: &mut [E],
    shape: TileShape,
    cols: usize,
    p: usize,
    first_k: usize,
    count: usize,
    source: &[F],
    stride: usize,
) {
    let first = p * shape.cols;
    let used = shape.cols.min(cols - first);
    let width = shape.panel_width(cols, p);
    let row = |i: usize| &source[i * stride + first..][..used];
    if !E::PAIRS {
        for i in 0..count {
            let to = &mut panel[(first_k + i) * width..][..used];
            for (to, value) in to.iter_mut().zip(row(i)) {
                *to = E::from_f32(value.to_f32());
            }
        }
        return;
    }
    let mut i = 0;
    while i < count {
        let k = first_k + i;
        let pairs = panel[(k / 2) * 2 * width..][..2 * used].as_chunks_mut::<2>().0;
        if k.is_multiple_of(2) && i + 1 < count {
            for ((pair, first), second) in pairs.iter_mut().zip(row(i)).zip(row(i + 1)) {
                *pair = [E::from_f32(first.to_f32()), E::from_f32(second.to_f32())];
            }
            i += 2;
        } else {
            for (pair, value) in pairs.iter_mut().zip(row(i)) {
                pair[k % 2] = E::from_f32(value.to_f32());
            }
            i += 1;
        }
    }
}
