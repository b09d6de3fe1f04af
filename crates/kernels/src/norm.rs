//! LayerNorm over rows, forward and backward, and sums over rows.
//!
//! ```text
//! y = xhat * weight + bias,   xhat = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)      (var: biased)
//! dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),   g = dy * weight
//! ```
//! The backward computes mean and rstd again: the row is read anyway, and nothing need be kept.

use rayon::prelude::*;

use crate::cpu::{Cpu, Kernel, Simd, WIDTH};
use crate::element::Element;
use crate::elementwise::{load, load_part, map, store, store_part, sum, update};
use crate::error::{KernelError, check_length};
use crate::lanes::Lanes;

/// Rows of one task of the public functions. Constant, so that sums do not depend on the number of threads.
const TASK_ROWS: usize = 64;

/// Weight and bias of a LayerNorm, one number a column each.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormParams<'a> {
    /// Scale, `[D]`.
    pub weight: &'a [f32],
    /// Shift, `[D]`.
    pub bias: &'a [f32],
}

impl LayerNormParams<'_> {
    pub(crate) fn check(&self, names: [&'static str; 2], width: usize) -> Result<(), KernelError> {
        check_length(names[0], width, self.weight.len())?;
        check_length(names[1], width, self.bias.len())
    }
}

/// Which gradients of a LayerNorm are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerNormWanted {
    /// Gradient of the scale.
    pub weight: bool,
    /// Gradient of the shift.
    pub bias: bool,
}

impl LayerNormWanted {
    pub(crate) fn any(self) -> bool {
        self.weight || self.bias
    }
}

/// Gradients of a LayerNorm's parameters; `None` where not wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerNormGrads {
    /// Gradient of the scale, `[D]`.
    pub weight: Option<Vec<f32>>,
    /// Gradient of the shift, `[D]`.
    pub bias: Option<Vec<f32>>,
}

impl LayerNormGrads {
    pub(crate) fn zeros(wanted: LayerNormWanted, width: usize) -> Self {
        Self { weight: wanted.weight.then(|| vec![0.0; width]), bias: wanted.bias.then(|| vec![0.0; width]) }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        add_to(&mut self.weight, other.weight.as_deref());
        add_to(&mut self.bias, other.bias.as_deref());
    }
}

/// `sum += part`, where both are wanted.
pub(crate) fn add_to(sum: &mut Option<Vec<f32>>, part: Option<&[f32]>) {
    if let (Some(sum), Some(part)) = (sum, part) {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum += part;
        }
    }
}

/// LayerNorm of each row of `x`, on all threads.
///
/// # Shapes
/// `x` and `out` are `[rows, D]`, D being the parameters' length.
///
/// # Errors
/// [`KernelError`] if lengths do not fit together or D is 0.
pub fn layer_norm(params: LayerNormParams<'_>, eps: f32, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let width = checked_width(&params, x)?;
    check_length("layer norm output", x.len(), out.len())?;
    let cpu = Cpu::detect();
    out.par_chunks_mut(TASK_ROWS * width).zip(x.par_chunks(TASK_ROWS * width)).for_each(|(out, x)| {
        cpu.run(NormForward { params, eps, x, out });
    });
    Ok(())
}

/// Gradients of [`layer_norm`]; `d_x` receives (not adds) the input's.
///
/// # Shapes
/// `x`, `d_out` and `d_x` are `[rows, D]`.
///
/// # Errors
/// [`KernelError`] if lengths do not fit together or D is 0.
pub fn layer_norm_backward(
    params: LayerNormParams<'_>,
    eps: f32,
    x: &[f32],
    d_out: &[f32],
    wanted: LayerNormWanted,
    d_x: Option<&mut [f32]>,
) -> Result<LayerNormGrads, KernelError> {
    let width = checked_width(&params, x)?;
    check_length("layer norm output gradient", x.len(), d_out.len())?;
    let mut unused = Vec::new();
    let d_x = match d_x {
        Some(d_x) => {
            check_length("layer norm input gradient", x.len(), d_x.len())?;
            d_x
        }
        None => {
            unused.resize(x.len(), 0.0);
            &mut unused[..]
        }
    };
    let cpu = Cpu::detect();
    let parts: Vec<LayerNormGrads> = d_x
        .par_chunks_mut(TASK_ROWS * width)
        .zip(x.par_chunks(TASK_ROWS * width))
        .zip(d_out.par_chunks(TASK_ROWS * width))
        .map(|((d_x, x), d_out)| {
            let mut grads = LayerNormGrads::zeros(wanted, width);
            d_x.fill(0.0);
            cpu.run(NormBackward { params, eps, x, d_out, grads: &mut grads, d_x });
            grads
        })
        .collect();
    let mut grads = LayerNormGrads::zeros(wanted, width);
    for part in &parts {
        grads.add(part);
    }
    Ok(grads)
}

fn checked_width(params: &LayerNormParams<'_>, x: &[f32]) -> Result<usize, KernelError> {
    let width = params.weight.len();
    params.check(["layer norm weight", "layer norm bias"], width)?;
    if width == 0 || !x.len().is_multiple_of(width) {
        return Err(KernelError::Dimension {
            what: "layer norm width",
            expected: format!("a divisor of the input's {} numbers", x.len()),
            found: width,
        });
    }
    Ok(width)
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
    pub grads: &'a mut LayerNormGrads,
    pub d_x: &'a mut [f32],
}

impl Kernel for NormBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let weight = self.params.weight;
        let width = weight.len();
        let rows = self.x.chunks_exact(width).zip(self.d_out.chunks_exact(width));
        let mut normalized = vec![0.0; width];
        for ((x, d_out), d_x) in rows.zip(self.d_x.chunks_exact_mut(width)) {
            let (mean, rstd) = moments(simd, x, self.eps);
            map!(simd, &mut normalized, [x = x] => (x - mean) * rstd);
            if let Some(d_weight) = &mut self.grads.weight {
                update!(simd, d_weight, sum, [d = d_out, x = normalized] => d.mul_add(x, sum));
            }
            if let Some(d_bias) = &mut self.grads.bias {
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
