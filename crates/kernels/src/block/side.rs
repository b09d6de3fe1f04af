//! What one fine-tuning adds to matrices that many share: a low-rank product (LoRA) and a scale of the rows.
//!
//! ```text
//! y = row_scale * (x W^T + scale (x A^T) B^T) + bias      =  x (diag(row_scale) (W + scale B A))^T + bias
//! ```
//! SSF scales rows, LoRA adds a product, and DoRA does both. The shared product is computed as ever; the thin ones are
//! computed alongside it and added before its result goes on.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::cpu::{Cpu, Simd};
use crate::element::Element;
use crate::elementwise::map;
use crate::error::{KernelError, check_length};
use crate::gemm::{Left, Packed, Sink, Store, multiply};
use crate::scratch::sized;

/// Columns of the widest tile of any instruction set.
const MAX_COLS: usize = 64;

/// What a fine-tuning adds to a linear layer whose weight it shares with others; its bias is its own anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerSide<'a> {
    /// Added to the weight.
    pub low_rank: Option<LoraParams<'a>>,
    /// Factors of the weight's rows, after the addition: `[out]`.
    pub row_scale: Option<&'a [f32]>,
}

/// A low-rank addition `scale * B A` to a weight (LoRA: Hu et al. 2021, equation 3).
#[derive(Clone, Copy, Debug)]
pub struct LoraParams<'a> {
    /// Rows of `a`, at least 1.
    pub rank: usize,
    /// Factor of the product (`alpha / rank` in the paper).
    pub scale: f32,
    /// `[rank, in]`.
    pub a: &'a [f32],
    /// `[out, rank]`.
    pub b: &'a [f32],
}

impl LayerSide<'_> {
    /// Fails unless every part fits a layer of `input` and `output` features; `name` is that of the row scale.
    pub(crate) fn check(&self, name: &'static str, [input, output]: [usize; 2]) -> Result<(), KernelError> {
        if let Some(scale) = self.row_scale {
            check_length(name, output, scale.len())?;
        }
        let Some(LoraParams { rank, a, b, .. }) = self.low_rank else { return Ok(()) };
        if rank == 0 {
            return Err(KernelError::Dimension { what: "lora rank", expected: "at least 1".into(), found: 0 });
        }
        check_length("lora a", rank.saturating_mul(input), a.len())?;
        check_length("lora b", rank.saturating_mul(output), b.len())
    }
}

/// The large layers' sides; all absent where a call has its own matrices.
pub(crate) struct Sides<'a, E> {
    pub q: Option<Side<'a, E>>,
    pub kv: Option<Side<'a, E>>,
    pub proj: Option<Side<'a, E>>,
    pub fc1: Option<Side<'a, E>>,
    pub fc2: Option<Side<'a, E>>,
}

impl<'a, E: Element> Sides<'a, E> {
    pub(crate) const NONE: Self = Self { q: None, kv: None, proj: None, fc1: None, fc2: None };

    /// Of qkv, proj, fc1 and fc2.
    pub(crate) fn new(cpu: Cpu, width: usize, hidden: usize, layers: [LayerSide<'a>; 4]) -> Self {
        let [qkv, proj, fc1, fc2] = layers;
        Self {
            q: Side::new(cpu, &qkv, width, 0..width),
            kv: Side::new(cpu, &qkv, width, width..3 * width),
            proj: Side::new(cpu, &proj, width, 0..width),
            fc1: Side::new(cpu, &fc1, width, 0..hidden),
            fc2: Side::new(cpu, &fc2, hidden, 0..width),
        }
    }
}

/// What is computed in addition to the product with one matrix.
pub(crate) struct Side<'a, E> {
    low_rank: Option<LowRank<E>>,
    row_scale: Option<&'a [f32]>,
}

struct LowRank<E> {
    /// A
    down: Packed<E>,
    /// scale B
    up: Packed<E>,
}

impl<'a, E: Element> Side<'a, E> {
    /// The part of `layer` that gives `outputs`; `None` if there is nothing but the matrix.
    fn new(cpu: Cpu, layer: &LayerSide<'a>, input: usize, outputs: Range<usize>) -> Option<Self> {
        if layer.low_rank.is_none() && layer.row_scale.is_none() {
            return None;
        }
        let low_rank = layer.low_rank.map(|LoraParams { rank, scale, a, b }| {
            let b: Vec<f32> = b[outputs.start * rank..outputs.end * rank].iter().map(|b| b * scale).collect();
            LowRank {
                down: Packed::transposed_weight(cpu, a, input, rank),
                up: Packed::transposed_weight(cpu, &b, rank, outputs.len()),
            }
        });
        Some(Self { low_rank, row_scale: layer.row_scale.map(|scale| &scale[outputs]) })
    }
}

/// Working memory of one task.
#[derive(Default)]
pub(crate) struct SideScratch<E> {
    narrow: Buffer<E>,
    added: Buffer<f32>,
}

/// [`multiply`] with what is added to the matrix `right`.
pub(crate) fn multiply_beside<E: Element, K: Sink>(
    cpu: Cpu,
    rows: usize,
    left: Left<'_, E>,
    (right, side): (&Packed<E>, &Option<Side<'_, E>>),
    scratch: &mut SideScratch<E>,
    sink: &mut K,
) {
    let Some(side) = side else {
        return multiply(cpu, rows, left, right, sink);
    };
    let stride = right.cols();
    let added = match &side.low_rank {
        None => None,
        Some(LowRank { down, up }) => {
            let rank = down.cols();
            let narrow = sized(&mut scratch.narrow, rows * rank);
            multiply(cpu, rows, left, down, &mut Store::new(narrow, rank));
            let added = sized(&mut scratch.added, rows * stride);
            multiply(cpu, rows, Left::rows(narrow, rank), up, &mut Store::new(added, stride));
            Some(&*added)
        }
    };
    multiply(cpu, rows, left, right, &mut Beside { inner: sink, added, row_scale: side.row_scale, stride });
}

/// Hands `row_scale * (sums + added)` on.
struct Beside<'a, K> {
    inner: &'a mut K,
    /// Rows `stride` apart.
    added: Option<&'a [f32]>,
    row_scale: Option<&'a [f32]>,
    stride: usize,
}

impl<K: Sink> Sink for Beside<'_, K> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let len = sums.len();
        let mut changed = [0.0; MAX_COLS];
        let changed = &mut changed[..len];
        let added = self.added.map(|added| &added[row * self.stride + col..][..len]);
        let row_scale = self.row_scale.map(|scale| &scale[col..][..len]);
        match (added, row_scale) {
            (Some(added), Some(scale)) => {
                map!(simd, &mut *changed, [sum = sums, added = added, scale = scale] => (sum + added) * scale);
            }
            (Some(added), None) => map!(simd, &mut *changed, [sum = sums, added = added] => sum + added),
            (None, Some(scale)) => map!(simd, &mut *changed, [sum = sums, scale = scale] => sum * scale),
            (None, None) => changed.copy_from_slice(sums),
        }
        self.inner.store(simd, row, col, changed);
    }
}
