//! Linear layers `y = x W^T + b` in PyTorch's layout.
//!
//! ```text
//! dW = dY^T X,  db = sum of dY's rows
//! ```

use std::borrow::Cow;

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};
use crate::gemm::{Add, Bias, Left, Packed, multiply};
use crate::norm::SumRows;
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
}

/// Gradients of a linear layer's parameters; `None` where not wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinearGrads {
    /// `[out, in]`.
    pub weight: Option<Vec<f32>>,
    /// `[out]`.
    pub bias: Option<Vec<f32>>,
}

/// Gradient of a layer's output and the layer's input, for the same rows.
pub(crate) struct Products<E> {
    /// `[rows, out]`.
    pub d_out: Vec<E>,
    /// `[rows, in]`.
    pub input: Vec<E>,
}

/// Adds to `d_weight` the products of output gradient and input, `sum += d_out^T input` for each of `parts` in order, on
/// all threads.
pub(crate) fn add_products<E: Element>(
    cpu: Cpu,
    [input, output]: [usize; 2],
    parts: &[Products<E>],
    d_weight: &mut [f32],
) {
    let packed: Vec<Packed<E>> = parts
        .par_iter()
        .map(|part| {
            let rows = part.input.len() / input;
            let mut packed = Packed::new(cpu, rows, input);
            packed.set_depth_rows(0, rows, &part.input, input);
            packed
        })
        .collect();
    d_weight.par_chunks_mut(TASK_ROWS * input).enumerate().for_each(|(task, sum)| {
        let rows = sum.len() / input;
        for (part, right) in parts.iter().zip(&packed) {
            let left = Left::transposed(part.d_out.get(task * TASK_ROWS..).unwrap_or_default(), output);
            multiply(cpu, rows, left, right, &mut Add::new(sum, input));
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

/// Gradients of [`linear`]'s weight and bias, each if it is wanted; the patch projection's input needs none.
///
/// # Shapes
/// `x` is `[rows, input]`, `d_out` is `[rows, output]`.
///
/// # Errors
/// [`KernelError`] if lengths do not fit together or a size is 0.
pub fn linear_backward(
    params: LinearParams<'_>,
    [input, output]: [usize; 2],
    precision: Precision,
    x: &[f32],
    d_out: &[f32],
    wanted: [bool; 2],
) -> Result<LinearGrads, KernelError> {
    let rows = checked_rows(&params, [input, output], x.len())?;
    check_length("linear output gradient", rows * output, d_out.len())?;
    Ok(match precision {
        Precision::F32 => backward::<f32>([input, output], x, d_out, wanted),
        Precision::Bf16 => backward::<Bf16>([input, output], x, d_out, wanted),
    })
}

fn checked_rows(params: &LinearParams<'_>, [input, output]: [usize; 2], len: usize) -> Result<usize, KernelError> {
    for (what, found) in [("linear input size", input), ("linear output size", output)] {
        if found == 0 {
            return Err(KernelError::Dimension { what, expected: "at least 1".into(), found });
        }
    }
    check_length("linear weight", input.saturating_mul(output), params.weight.len())?;
    params.bias.map_or(Ok(()), |bias| check_length("linear bias", output, bias.len()))?;
    check_length("linear input", len / input * input, len)?;
    Ok(len / input)
}

fn forward<E: Element>(params: &LinearParams<'_>, [input, output]: [usize; 2], x: &[f32], out: &mut [f32]) {
    let cpu = Cpu::detect();
    let weight = Packed::<E>::transposed_weight(cpu, params.weight, input, output);
    let bias: Cow<'_, [f32]> = params.bias.map_or_else(|| vec![0.0; output].into(), Cow::Borrowed);
    out.par_chunks_mut(TASK_ROWS * output).zip(x.par_chunks(TASK_ROWS * input)).for_each(|(out, x)| {
        let x: Vec<E> = x.iter().map(|&x| E::from_f32(x)).collect();
        let mut sink = Bias { out, stride: output, bias: &bias };
        multiply(cpu, x.len() / input, Left::rows(&x, input), &weight, &mut sink);
    });
}

fn backward<E: Element>([input, output]: [usize; 2], x: &[f32], d_out: &[f32], wanted: [bool; 2]) -> LinearGrads {
    let cpu = Cpu::detect();
    let weight = wanted[0].then(|| {
        let parts: Vec<Products<E>> = d_out
            .par_chunks(TASK_ROWS * output)
            .zip(x.par_chunks(TASK_ROWS * input))
            .map(|(d_out, x)| Products {
                d_out: E::from_slice(d_out).into_owned(),
                input: E::from_slice(x).into_owned(),
            })
            .collect();
        let mut d_weight = vec![0.0; output * input];
        add_products(cpu, [input, output], &parts, &mut d_weight);
        d_weight
    });
    let bias = wanted[1].then(|| {
        let parts: Vec<Vec<f32>> = d_out
            .par_chunks(TASK_ROWS * output)
            .map(|rows| {
                let mut sums = vec![0.0; output];
                cpu.run(SumRows { rows, stride: output, sums: &mut sums });
                sums
            })
            .collect();
        let mut d_bias = vec![0.0; output];
        for part in &parts {
            d_bias.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        d_bias
    });
    LinearGrads { weight, bias }
}
