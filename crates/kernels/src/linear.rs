//! Linear layers `y = x W^T + b` in PyTorch's layout, with an optional low-rank addition to the weight (LoRA).
//!
//! ```text
//! W' = W + scale * B A,   A [rank, in],  B [out, rank]        (LoRA: Hu et al. 2021, equation 3)
//! dX = dY W',  dW = dY^T X,  db = sum of dY's rows,  dB = scale * dY^T (X A^T),  dA = scale * (dY B)^T X
//! ```
//! The low-rank product is added to the weight while that is packed: a few rows' worth of work, after which the
//! layer costs what it costs without.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};
use crate::gemm::{Add, Bias, Left, Matrix, Packed, Scaled, Store, gemm, multiply};
use crate::norm::{SumRows, add_to};
use crate::precision::Precision;

/// Rows of one task of the public functions, and rows of a weight gradient that one task computes.
const TASK_ROWS: usize = 192;

/// Weight and bias of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct LinearParams<'a> {
    /// `[out, in]`, row-major.
    pub weight: &'a [f32],
    /// `[out]`.
    pub bias: Option<&'a [f32]>,
    /// A low-rank addition to the weight.
    pub lora: Option<LoraParams<'a>>,
}

/// A low-rank addition `scale * B A` to a weight.
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

impl LoraParams<'_> {
    pub(crate) fn check(&self, input: usize, output: usize) -> Result<(), KernelError> {
        if self.rank == 0 {
            return Err(KernelError::Dimension { what: "lora rank", expected: "at least 1".into(), found: 0 });
        }
        check_length("lora a", self.rank.saturating_mul(input), self.a.len())?;
        check_length("lora b", self.rank.saturating_mul(output), self.b.len())
    }
}

/// Which gradients of a linear layer are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinearWanted {
    /// Gradient of the weight.
    pub weight: bool,
    /// Gradient of the bias.
    pub bias: bool,
    /// Gradients of both low-rank matrices.
    pub lora: bool,
}

impl LinearWanted {
    /// Whether the layer's input is needed for them.
    pub(crate) fn products(self) -> bool {
        self.weight || self.lora
    }

    pub(crate) fn any(self) -> bool {
        self.weight || self.bias || self.lora
    }
}

/// Gradients of a linear layer's parameters; `None` where not wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinearGrads {
    /// `[out, in]`.
    pub weight: Option<Vec<f32>>,
    /// `[out]`.
    pub bias: Option<Vec<f32>>,
    /// `[rank, in]`.
    pub lora_a: Option<Vec<f32>>,
    /// `[out, rank]`.
    pub lora_b: Option<Vec<f32>>,
}

impl<'a> LinearParams<'a> {
    /// A layer without a low-rank addition.
    pub fn new(weight: &'a [f32], bias: Option<&'a [f32]>) -> Self {
        Self { weight, bias, lora: None }
    }

    pub(crate) fn check(&self, names: [&'static str; 2], input: usize, output: usize) -> Result<(), KernelError> {
        check_length(names[0], input.saturating_mul(output), self.weight.len())?;
        if let Some(bias) = self.bias {
            check_length(names[1], output, bias.len())?;
        }
        if let Some(lora) = self.lora {
            lora.check(input, output)?;
        }
        Ok(())
    }

    /// The weight with the low-rank product added.
    pub(crate) fn effective_weight(&self, input: usize, output: usize) -> Cow<'a, [f32]> {
        let Some(lora) = self.lora else {
            return Cow::Borrowed(self.weight);
        };
        let mut weight = self.weight.to_vec();
        let a = Matrix::row_major(lora.a, input);
        let b = Matrix::row_major(lora.b, lora.rank);
        let added = gemm([output, input, lora.rank], lora.scale, b, a, 1.0, &mut weight);
        debug_assert!(added.is_ok(), "lengths were checked before");
        Cow::Owned(weight)
    }

    /// The bias, zeros where there is none.
    pub(crate) fn bias_or_zeros(&self, output: usize) -> Cow<'a, [f32]> {
        match self.bias {
            Some(bias) => Cow::Borrowed(bias),
            None => Cow::Owned(vec![0.0; output]),
        }
    }
}

impl LinearGrads {
    pub(crate) fn zeros(wanted: LinearWanted, params: &LinearParams<'_>, input: usize, output: usize) -> Self {
        let rank = params.lora.map_or(0, |lora| lora.rank);
        Self {
            weight: wanted.weight.then(|| vec![0.0; output * input]),
            bias: wanted.bias.then(|| vec![0.0; output]),
            lora_a: wanted.lora.then(|| vec![0.0; rank * input]),
            lora_b: wanted.lora.then(|| vec![0.0; output * rank]),
        }
    }

    /// Adds the bias alone: the products are summed over images as they are computed.
    pub(crate) fn add_bias(&mut self, other: &Self) {
        add_to(&mut self.bias, other.bias.as_deref());
    }
}

/// Gradient of a layer's output and the layer's input, for the same rows.
pub(crate) struct Products<E> {
    /// `[rows, out]`.
    pub d_out: Vec<E>,
    /// `[rows, in]`.
    pub input: Vec<E>,
}

/// Adds to `grads` the gradients that are products of output gradient and input, summed over `parts` in order.
pub(crate) fn add_products<E: Element>(
    cpu: Cpu,
    params: &LinearParams<'_>,
    input: usize,
    output: usize,
    parts: &[Products<E>],
    grads: &mut LinearGrads,
) {
    if let Some(d_weight) = &mut grads.weight {
        let pairs: Vec<(&[E], &[E])> = parts.iter().map(|part| (&part.d_out[..], &part.input[..])).collect();
        add_transposed_products(cpu, &pairs, output, input, d_weight);
    }
    let (Some(lora), Some(d_a), Some(d_b)) = (params.lora, &mut grads.lora_a, &mut grads.lora_b) else {
        return;
    };
    let scaled: Vec<f32> = lora.a.iter().map(|a| a * lora.scale).collect();
    let a = Packed::<E>::transposed_weight(cpu, &scaled, input, lora.rank);
    let scaled: Vec<f32> = lora.b.iter().map(|b| b * lora.scale).collect();
    let b = Packed::<E>::weight(cpu, &scaled, output, lora.rank);
    let narrow: Vec<(Vec<E>, Vec<E>)> = parts
        .par_iter()
        .map(|part| {
            let rows = part.d_out.len() / output;
            let mut down = vec![E::default(); rows * lora.rank];
            let left = Left::rows(&part.input, input);
            multiply(cpu, rows, left, &a, &mut Store::new(&mut down, lora.rank));
            let mut d_down = vec![E::default(); rows * lora.rank];
            let left = Left::rows(&part.d_out, output);
            multiply(cpu, rows, left, &b, &mut Store::new(&mut d_down, lora.rank));
            (down, d_down)
        })
        .collect();
    let both = || parts.iter().zip(&narrow);
    let pairs: Vec<(&[E], &[E])> = both().map(|(p, (down, _))| (&p.d_out[..], &down[..])).collect();
    add_transposed_products(cpu, &pairs, output, lora.rank, d_b);
    let pairs: Vec<(&[E], &[E])> = both().map(|(p, (_, d_down))| (&d_down[..], &p.input[..])).collect();
    add_transposed_products(cpu, &pairs, lora.rank, input, d_a);
}

/// `sum[m, n] += a^T b` for each pair of `a [rows, m]` and `b [rows, n]`, in order, on all threads.
fn add_transposed_products<E: Element>(cpu: Cpu, pairs: &[(&[E], &[E])], m: usize, n: usize, sum: &mut [f32]) {
    let packed: Vec<Packed<E>> = pairs
        .par_iter()
        .map(|(_, b)| {
            let rows = b.len() / n;
            let mut packed = Packed::new(cpu, rows, n);
            packed.set_depth_rows(0, rows, b, n);
            packed
        })
        .collect();
    sum.par_chunks_mut(TASK_ROWS * n).enumerate().for_each(|(task, sum)| {
        let rows = sum.len() / n;
        for ((a, _), b) in pairs.iter().zip(&packed) {
            let left = Left::transposed(a.get(task * TASK_ROWS..).unwrap_or_default(), m);
            multiply(cpu, rows, left, b, &mut Add::new(sum, n));
        }
    });
}

/// A linear layer over rows, on all threads: the patch projection of a vision transformer, or a head.
///
/// # Shapes
/// `x` is `[rows, input]`, `out` is `[rows, output]`.
///
/// # Errors
/// [`KernelError`] if lengths do not fit together or a size is 0.
pub fn linear(
    params: LinearParams<'_>,
    [input, output]: [usize; 2],
    precision: Precision,
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = checked_rows(&params, [input, output], x.len())?;
    check_length("linear output", rows * output, out.len())?;
    match precision {
        Precision::F32 => forward::<f32>(&params, [input, output], x, out),
        Precision::Bf16 => forward::<Bf16>(&params, [input, output], x, out),
    }
    Ok(())
}

/// Gradients of [`linear`]; `d_x` receives (not adds) the input's.
///
/// # Shapes
/// `x` and `d_x` are `[rows, input]`, `d_out` is `[rows, output]`.
///
/// # Errors
/// [`KernelError`] if lengths do not fit together or a size is 0.
pub fn linear_backward(
    params: LinearParams<'_>,
    [input, output]: [usize; 2],
    precision: Precision,
    x: &[f32],
    d_out: &[f32],
    wanted: LinearWanted,
    d_x: Option<&mut [f32]>,
) -> Result<LinearGrads, KernelError> {
    let rows = checked_rows(&params, [input, output], x.len())?;
    check_length("linear output gradient", rows * output, d_out.len())?;
    if let Some(d_x) = &d_x {
        check_length("linear input gradient", x.len(), d_x.len())?;
    }
    if wanted.lora && params.lora.is_none() {
        return Err(KernelError::Mismatch {
            what: "lora",
            expected: "given, since its gradients are wanted",
            found: "absent",
        });
    }
    Ok(match precision {
        Precision::F32 => backward::<f32>(&params, [input, output], x, d_out, wanted, d_x),
        Precision::Bf16 => backward::<Bf16>(&params, [input, output], x, d_out, wanted, d_x),
    })
}

fn checked_rows(params: &LinearParams<'_>, [input, output]: [usize; 2], len: usize) -> Result<usize, KernelError> {
    for (what, found) in [("linear input size", input), ("linear output size", output)] {
        if found == 0 {
            return Err(KernelError::Dimension { what, expected: "at least 1".into(), found });
        }
    }
    params.check(["linear weight", "linear bias"], input, output)?;
    check_length("linear input", len / input * input, len)?;
    Ok(len / input)
}

fn forward<E: Element>(params: &LinearParams<'_>, [input, output]: [usize; 2], x: &[f32], out: &mut [f32]) {
    let cpu = Cpu::detect();
    let weight = params.effective_weight(input, output);
    let weight = Packed::<E>::transposed_weight(cpu, &weight, input, output);
    let bias = params.bias_or_zeros(output);
    out.par_chunks_mut(TASK_ROWS * output).zip(x.par_chunks(TASK_ROWS * input)).for_each(|(out, x)| {
        let x: Vec<E> = x.iter().map(|&x| E::from_f32(x)).collect();
        let mut sink = Bias { out, stride: output, bias: &bias };
        multiply(cpu, x.len() / input, Left::rows(&x, input), &weight, &mut sink);
    });
}

fn backward<E: Element>(
    params: &LinearParams<'_>,
    [input, output]: [usize; 2],
    x: &[f32],
    d_out: &[f32],
    wanted: LinearWanted,
    d_x: Option<&mut [f32]>,
) -> LinearGrads {
    let cpu = Cpu::detect();
    let mut grads = LinearGrads::zeros(wanted, params, input, output);
    if let Some(sum) = &mut grads.bias {
        let parts: Vec<Vec<f32>> = d_out
            .par_chunks(TASK_ROWS * output)
            .map(|rows| {
                let mut sums = vec![0.0; output];
                cpu.run(SumRows { rows, stride: output, sums: &mut sums });
                sums
            })
            .collect();
        for part in &parts {
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part;
            }
        }
    }
    if wanted.products() {
        let parts: Vec<Products<E>> = d_out
            .par_chunks(TASK_ROWS * output)
            .zip(x.par_chunks(TASK_ROWS * input))
            .map(|(d_out, x)| Products {
                d_out: E::from_slice(d_out).into_owned(),
                input: E::from_slice(x).into_owned(),
            })
            .collect();
        add_products(cpu, params, input, output, &parts, &mut grads);
    }
    if let Some(d_x) = d_x {
        let weight = params.effective_weight(input, output);
        let weight = Packed::<E>::weight(cpu, &weight, output, input);
        d_x.par_chunks_mut(TASK_ROWS * input).zip(d_out.par_chunks(TASK_ROWS * output)).for_each(|(d_x, d_out)| {
            let d_out = E::from_slice(d_out);
            let left = Left::rows(&d_out, output);
            let mut sink = Scaled { out: d_x, stride: input, alpha: 1.0, beta: 0.0 };
            multiply(cpu, d_out.len() / output, left, &weight, &mut sink);
        });
    }
    grads
}
