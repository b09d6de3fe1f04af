//! The sinks and small kernels that only the block uses: activation functions at a product's end.

use crate::cpu::{Kernel, Simd};
use crate::element::Element;
use crate::elementwise::{map, update};
use crate::gelu::{gelu, gelu_derivative};
use crate::gemm::Sink;
use crate::lanes::Lanes;

/// The MLP's first layer: `out = gelu(sums + bias)`, and `sums + bias` kept for the backward where `kept` is not empty.
pub(crate) struct GeluForward<'a, E> {
    pub out: &'a mut [E],
    pub kept: &'a mut [E],
    pub bias: &'a [f32],
}

impl<E: Element> Sink for GeluForward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.bias.len() + col, sums.len());
        let out = &mut self.out[at..][..len];
        let bias = &self.bias[col..][..len];
        if !self.kept.is_empty() {
            let kept = &mut self.kept[at..][..len];
            map!(simd, kept, [sum = sums, bias = bias] => sum + bias);
        }
        map!(simd, out, [sum = sums, bias = bias] => gelu(sum + bias));
    }
}

/// `out = sums * gelu'(hidden)`, rows `stride` apart; their sum is added to `row_sums`, if it is not empty.
pub(crate) struct GeluBackward<'a, E> {
    pub out: &'a mut [E],
    pub hidden: &'a [E],
    pub stride: usize,
    pub row_sums: &'a mut [f32],
}

impl<E: Element> Sink for GeluBackward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.stride + col, sums.len());
        let hidden = &self.hidden[at..][..len];
        let out = &mut self.out[at..][..len];
        map!(simd, out, [sum = sums, hidden = hidden] => sum * gelu_derivative(hidden));
        if !self.row_sums.is_empty() {
            // While the row is in the first-level cache; as it was rounded, which is what the products see.
            let row_sums = &mut self.row_sums[col..][..len];
            update!(simd, row_sums, sum, [d = out] => sum + d);
        }
    }
}

/// An adapter's first layer: `out = max(sums + bias, 0)`.
pub(crate) struct ReluForward<'a, E> {
    pub out: &'a mut [E],
    pub bias: &'a [f32],
}

impl<E: Element> Sink for ReluForward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.bias.len() + col, sums.len());
        let bias = &self.bias[col..][..len];
        let out = &mut self.out[at..][..len];
        let zero = Lanes::splat(simd, 0.0);
        // In this order a NaN stays a NaN.
        map!(simd, out, [sum = sums, bias = bias] => zero.max(sum + bias));
    }
}

/// `out = sums` where the layer's result was positive, else 0.
pub(crate) struct ReluBackward<'a, E> {
    pub out: &'a mut [E],
    pub result: &'a [E],
    pub stride: usize,
}

impl<E: Element> Sink for ReluBackward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.stride + col, sums.len());
        let result = &self.result[at..][..len];
        let out = &mut self.out[at..][..len];
        let zero = Lanes::splat(simd, 0.0);
        map!(simd, out, [sum = sums, result = result] => zero.where_less(result, sum, zero));
    }
}

/// `out = gelu(hidden)`: the MLP's activations again.
pub(crate) struct Gelu<'a, E> {
    pub out: &'a mut [E],
    pub hidden: &'a [E],
}

impl<E: Element> Kernel for Gelu<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        map!(simd, self.out, [hidden = self.hidden] => gelu(hidden));
    }
}

/// Rows times a layer scale: `out = rows * scale`.
pub(crate) struct ScaleRows<'a, E> {
    pub out: &'a mut [E],
    pub rows: &'a [f32],
    pub scale: Option<&'a [f32]>,
}

impl<E: Element> Kernel for ScaleRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        match self.scale {
            None => map!(simd, self.out, [value = self.rows] => value),
            Some(scale) => {
                let rows = self.rows.chunks_exact(scale.len());
                for (out, row) in self.out.chunks_exact_mut(scale.len()).zip(rows) {
                    map!(simd, out, [value = row, scale = scale] => value * scale);
                }
            }
        }
    }
}

/// The gradient of a layer scale: `sums += rows of d_out * branch`.
pub(crate) struct ScaleGradient<'a> {
    pub d_out: &'a [f32],
    pub branch: &'a [f32],
    pub sums: &'a mut [f32],
}

impl Kernel for ScaleGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let width = self.sums.len();
        let rows = self.d_out.chunks_exact(width).zip(self.branch.chunks_exact(width));
        for (d_out, branch) in rows {
            update!(simd, self.sums, sum, [d = d_out, value = branch] => d.mul_add(value, sum));
        }
    }
}

/// `out += added`.
pub(crate) struct AddTo<'a> {
    pub out: &'a mut [f32],
    pub added: &'a [f32],
}

impl Kernel for AddTo<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        update!(simd, self.out, old, [added = self.added] => old + added);
    }
}
