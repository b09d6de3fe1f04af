//! What becomes of a finished piece of a row: stored, scaled, added to a residual.

use crate::cpu::Simd;
use crate::element::Element;
use crate::elementwise::{map1, map2, update1};

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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        map1(out, sums, |sum| sum);
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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        update1(out, sums, |out, sum| out + sum);
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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let (alpha, beta) = (self.alpha, self.beta);
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        if beta == 0.0 {
            map1(out, sums, |sum| alpha * sum);
        } else {
            update1(out, sums, |out, sum| alpha * sum + beta * out);
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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        let bias = &self.bias[col..][..sums.len()];
        map2(out, sums, bias, |sum, bias| sum + bias);
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
    fn store<S: Simd>(&mut self, _: S, row: usize, col: usize, sums: &[f32]) {
        let (at, len) = (row * self.bias.len() + col, sums.len());
        let out = &mut self.out[at..][..len];
        let bias = &self.bias[col..][..len];
        map2(out, sums, bias, |sum, bias| sum + bias);
        if let Some(scale) = self.scale {
            update1(out, &scale[col..][..len], |y, scale| scale * y);
        }
        if let Some(residual) = self.residual {
            update1(out, &residual[at..][..len], |y, x| x + y);
        }
    }
}
