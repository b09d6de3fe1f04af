//! What becomes of a finished piece of a row: stored, scaled, added to a residual.

use crate::cpu::Simd;
use crate::element::Element;
use crate::elementwise::{map, update};

/// Takes the results of a product, a piece of a row at a time, each exactly once.
pub(crate) trait Sink {
    /// `sums` are columns `col..col + sums.len()` of row `row`.
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]);
}

/// `out = sums`, rows `stride` apart.
pub(crate) struct Store<'a, O> {
    out: &'a mut [O],
    stride: usize,
}

impl<'a, O: Element> Store<'a, O> {
    pub(crate) fn new(out: &'a mut [O], stride: usize) -> Self {
        Self { out, stride }
    }
}

impl<O: Element> Sink for Store<'_, O> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        map!(simd, out, [sum = sums] => sum);
    }
}

/// `out += sums`.
pub(crate) struct Add<'a> {
    out: &'a mut [f32],
    stride: usize,
}

impl<'a> Add<'a> {
    pub(crate) fn new(out: &'a mut [f32], stride: usize) -> Self {
        Self { out, stride }
    }
}

impl Sink for Add<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        update!(simd, out, old, [sum = sums] => old + sum);
    }
}

/// `out = alpha * sums + beta * out`; `out` is not read where beta is 0.
pub(crate) struct Scaled<'a> {
    pub(crate) out: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
}

impl Sink for Scaled<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (alpha, beta) = (self.alpha, self.beta);
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        if beta == 0.0 {
            map!(simd, out, [sum = sums] => sum * alpha);
        } else {
            update!(simd, out, old, [sum = sums] => sum * alpha + old * beta);
        }
    }
}

/// A linear layer's end: `out = sums + bias`.
pub(crate) struct Bias<'a, O> {
    pub(crate) out: &'a mut [O],
    pub(crate) stride: usize,
    pub(crate) bias: &'a [f32],
}

impl<O: Element> Sink for Bias<'_, O> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        let bias = &self.bias[col..][..sums.len()];
        map!(simd, out, [sum = sums, bias = bias] => sum + bias);
    }
}

/// A branch's end: `out = residual + scale * (sums + bias)`, all rows `bias.len()` apart.
pub(crate) struct Residual<'a> {
    pub(crate) out: &'a mut [f32],
    /// Nothing is added where it is absent.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) bias: &'a [f32],
    pub(crate) scale: Option<&'a [f32]>,
}

impl Sink for Residual<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.bias.len() + col, sums.len());
        let out = &mut self.out[at..][..len];
        let bias = &self.bias[col..][..len];
        match (self.scale, self.residual) {
            (None, None) => map!(simd, out, [sum = sums, bias = bias] => sum + bias),
            (None, Some(residual)) => {
                let residual = &residual[at..][..len];
                map!(simd, out, [sum = sums, bias = bias, x = residual] => x + (sum + bias));
            }
            (Some(scale), None) => {
                let scale = &scale[col..][..len];
                map!(simd, out, [sum = sums, bias = bias, scale = scale] => scale * (sum + bias));
            }
            (Some(scale), Some(residual)) => {
                let (scale, residual) = (&scale[col..][..len], &residual[at..][..len]);
                map!(simd, out, [sum = sums, bias = bias, scale = scale, x = residual] => x + scale * (sum + bias));
            }
        }
    }
}
