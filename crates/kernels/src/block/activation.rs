//! The sinks and small kernels that only the block uses: activation functions at a product's end.

use crate::cpu::{Kernel, Simd};
use crate::element::Element;
use crate::elementwise::{map1, map2, update1, update2};
use crate::gelu::{gelu, gelu_derivative};
use crate::gemm::Sink;

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
            map2(&mut self.kept[at..][..len], sums, bias, |sum, bias| sum + bias);
        }
        map2(out, sums, bias, |sum, bias| gelu(simd, sum + bias));
    }
}

/// `out = sums * gelu'(hidden)`, rows `stride` apart.
pub(crate) struct GeluBackward<'a, E> {
    pub out: &'a mut [E],
    pub hidden: &'a [E],
    pub stride: usize,
}

impl<E: Element> Sink for GeluBackward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.stride + col, sums.len());
        let hidden = &self.hidden[at..][..len];
        map2(&mut self.out[at..][..len], sums, hidden, |sum, hidden| sum * gelu_derivative(simd, hidden));
    }
}

/// An adapter's first layer: `out = max(sums + bias, 0)`.
pub(crate) struct ReluForward<'a, E> {
    pub out: &'a mut [E],
    pub bias: &'a [f32],
}

impl<E: Element> Sink for ReluForward<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.bias.len() + col, sums.len());
        let bias = &self.bias[col..][..len];
        map2(&mut self.out[at..][..len], sums, bias, |sum, bias| {
            let value = sum + bias;
            // Written so that a NaN stays a NaN.
            if value < 0.0 { 0.0 } else { value }
        });
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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.stride + col, sums.len());
        let result = &self.result[at..][..len];
        map2(&mut self.out[at..][..len], sums, result, |sum, result| if result > 0.0 { sum } else { 0.0 });
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
        map1(self.out, self.hidden, |hidden| gelu(simd, hidden));
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
    fn call<S: Simd>(self, _: S) {
        match self.scale {
            None => map1(self.out, self.rows, |value| value),
            Some(scale) => {
                let rows = self.rows.chunks_exact(scale.len());
                for (out, row) in self.out.chunks_exact_mut(scale.len()).zip(rows) {
                    map2(out, row, scale, |value, scale| value * scale);
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
            update2(self.sums, d_out, branch, |sum, d, value| simd.mul_add(d, value, sum));
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
    fn call<S: Simd>(self, _: S) {
        update1(self.out, self.added, |out, added| out + added);
    }
}
