//! LayerNorm over rows, forward and backward, and sums over rows.
//!
//! ```text
//! y = xhat * weight + bias,   xhat = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)      (var: biased)
//! dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),   g = dy * weight
//! ```
//! The backward computes mean and rstd again: the row is read anyway, and nothing need be kept.

use crate::cpu::{Kernel, Simd, WIDTH};
use crate::element::Element;
use crate::elementwise::{load, load_part, map, store, store_part, sum, update};
use crate::lanes::Lanes;

/// Weight and bias of a LayerNorm.
#[derive(Clone, Copy)]
pub(crate) struct LayerNormParams<'a> {
    /// Scale, `[D]`.
    pub weight: &'a [f32],
    /// Shift, `[D]`.
    pub bias: &'a [f32],
}

/// `sum += part`, where both are wanted.
pub(crate) fn add_to(sum: &mut Option<Vec<f32>>, part: Option<&[f32]>) {
    if let (Some(sum), Some(part)) = (sum, part) {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum += part;
        }
    }
}

/// Mean and reciprocal standard deviation of a row.
#[inline(always)]
fn moments<S: Simd>(simd: S, x: &[f32], eps: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum!(simd, [x = x] => x) / count;
    let variance = sum!(simd, [x = x] => (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Normalizes the rows of `x` into `out`.
pub(crate) struct NormForward<'a, O> {
    pub params: LayerNormParams<'a>,
    pub eps: f32,
    pub x: &'a [f32],
    pub out: &'a mut [O],
}

impl<O: Element> Kernel for NormForward<'_, O> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let LayerNormParams { weight, bias } = self.params;
        let width = weight.len();
        let rows = self.x.chunks_exact(width);
        for (x, out) in rows.zip(self.out.chunks_exact_mut(width)) {
            let (mean, rstd) = moments(simd, x, self.eps);
            map!(simd, out, [x = x, w = weight, b = bias] => ((x - mean) * rstd).mul_add(w, b));
        }
    }
}

/// Adds the input's gradient to `d_x` and the parameters' to `grads`.
pub(crate) struct NormBackward<'a> {
    pub params: LayerNormParams<'a>,
    pub eps: f32,
    pub x: &'a [f32],
    pub d_out: &'a [f32],
    /// Of weight and bias, where wanted.
    pub grads: [Option<&'a mut [f32]>; 2],
    pub d_x: &'a mut [f32],
}

impl Kernel for NormBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let weight = self.params.weight;
        let width = weight.len();
        let [mut d_weight, mut d_bias] = self.grads;
        let rows = self.x.chunks_exact(width).zip(self.d_out.chunks_exact(width));
        let mut normalized = vec![0.0; width];
        for ((x, d_out), d_x) in rows.zip(self.d_x.chunks_exact_mut(width)) {
            let (mean, rstd) = moments(simd, x, self.eps);
            map!(simd, &mut normalized, [x = x] => (x - mean) * rstd);
            if let Some(d_weight) = &mut d_weight {
                update!(simd, d_weight, sum, [d = d_out, x = normalized] => d.mul_add(x, sum));
            }
            if let Some(d_bias) = &mut d_bias {
                update!(simd, d_bias, sum, [d = d_out] => sum + d);
            }
            let mean_g = sum!(simd, [d = d_out, w = weight] => d * w) / width as f32;
            let mean_gx = sum!(simd, [d = d_out, w = weight, x = normalized] => d * w * x) / width as f32;
            update!(simd, d_x, d_x, [d = d_out, w = weight, x = normalized] =>
                d_x + (d * w - mean_g - x * mean_gx) * rstd);
        }
    }
}

/// Adds the sum of `rows`, `stride` apart, to `sums`.
pub(crate) struct SumRows<'a, E> {
    pub rows: &'a [E],
    pub stride: usize,
    pub sums: &'a mut [f32],
}

impl<E: Element> Kernel for SumRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let (width, stride) = (self.sums.len(), self.stride.max(1));
        let mut col = 0;
        // Down the rows, four registers of sums at a time.
        while col + 4 * WIDTH <= width {
            let mut sums = [Lanes::splat(simd, 0.0); 4];
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = load(simd, &self.sums[col + i * WIDTH..]);
            }
            for row in self.rows.chunks(stride) {
                let row = &row[col..col + 4 * WIDTH];
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = *sum + load(simd, &row[i * WIDTH..]);
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                store(sum, &mut self.sums[col + i * WIDTH..]);
            }
            col += 4 * WIDTH;
        }
        while col < width {
            let end = width.min(col + WIDTH);
            let mut sum = load_part(simd, &self.sums[col..end], 0.0);
            for row in self.rows.chunks(stride) {
                sum = sum + load_part(simd, &row[col..end], 0.0);
            }
            store_part(sum, &mut self.sums[col..end]);
            col = end;
        }
    }
}
