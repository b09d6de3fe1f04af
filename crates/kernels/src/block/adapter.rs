//! The bottleneck adapter parallel to the MLP or behind it.
//!
//! ```text
//! pre:  adapter(z) = up(relu(down(norm(z))))        post: adapter(z) = norm(up(relu(down(z))))
//! ```
//! Nothing of it is kept for the backward but its input, which the block has anyway: two thin products are computed
//! again instead. Source: Chen et al. 2022, "AdaptFormer"; differs from it: LayerNorm after `up` as an option, no
//! scale, and `sequential` placement.

use super::activation::{AddTo, ReluBackward, ReluForward, ScaleRows};
use super::grads::{BlockGrads, Wanted};
use super::params::{AdapterNorm, AdapterParams};
use super::tensors::BlockTensor;
use super::weights::{AdapterBackwardWeights, AdapterForwardWeights};
use crate::buffer::Buffer;
use crate::cpu::Cpu;
use crate::element::Element;
use crate::gemm::{Bias, Left, Scaled, multiply};
use crate::linear::Products;
use crate::norm::{NormBackward, NormForward, SumRows};
use crate::scratch::sized;

/// eps of the adapter's LayerNorm: PyTorch's default.
const EPS: f32 = 1e-5;

const NORM: [BlockTensor; 2] = [BlockTensor::AdapterNormWeight, BlockTensor::AdapterNormBias];

/// Working memory of one task.
#[derive(Default)]
pub(crate) struct AdapterScratch<E> {
    input: Buffer<E>,
    bottleneck: Buffer<E>,
    up: Buffer<f32>,
    normalized: Buffer<f32>,
    d_up: Buffer<f32>,
    d_up_element: Buffer<E>,
    d_bottleneck: Buffer<E>,
    d_input: Buffer<f32>,
}

/// An adapter's layers with the weights of one call.
#[derive(Clone, Copy)]
pub(crate) struct Adapter<'a, E> {
    pub cpu: Cpu,
    pub params: AdapterParams<'a>,
    pub weights: &'a AdapterForwardWeights<'a, E>,
}

impl<E: Element> Adapter<'_, E> {
    /// `out += adapter(input)`, both `[rows, width]`.
    pub(crate) fn forward(&self, input: &[f32], scratch: &mut AdapterScratch<E>, out: &mut [f32]) {
        self.up(input, scratch);
        let up = &scratch.up[..input.len()];
        let added = match self.params.norm_position {
            AdapterNorm::Pre => up,
            AdapterNorm::Post => {
                let normalized = sized(&mut scratch.normalized, input.len());
                self.cpu.run(NormForward { params: self.params.norm, eps: EPS, x: up, out: normalized });
                normalized
            }
        };
        self.cpu.run(AddTo { out, added });
    }

    /// Fills `scratch.input`, `scratch.bottleneck` and `scratch.up` from the adapter's input.
    fn up(&self, input: &[f32], scratch: &mut AdapterScratch<E>) {
        let width = self.params.norm.weight.len();
        let (rows, bottleneck) = (input.len() / width, self.params.bottleneck);
        let normed = sized(&mut scratch.input, input.len());
        match self.params.norm_position {
            AdapterNorm::Pre => self.cpu.run(NormForward { params: self.params.norm, eps: EPS, x: input, out: normed }),
            AdapterNorm::Post => self.cpu.run(ScaleRows { out: normed, rows: input, scale: None }),
        }
        let mut sink =
            ReluForward { out: sized(&mut scratch.bottleneck, rows * bottleneck), bias: &self.weights.down_bias };
        multiply(self.cpu, rows, Left::rows(normed, width), &self.weights.down, &mut sink);
        let left = Left::rows(&scratch.bottleneck, bottleneck);
        let mut sink = Bias { out: sized(&mut scratch.up, input.len()), stride: width, bias: &self.weights.up_bias };
        multiply(self.cpu, rows, left, &self.weights.up, &mut sink);
    }

    /// Adds the input's gradient to `d_input` and the small parameters' to `grads`; returns the products of `down` and
    /// of `up`, where wanted.
    #[expect(clippy::too_many_arguments, reason = "gradients in, gradients out")]
    pub(crate) fn backward(
        &self,
        weights: &AdapterBackwardWeights<E>,
        wanted: &Wanted,
        input: &[f32],
        d_out: &[f32],
        scratch: &mut AdapterScratch<E>,
        grads: &mut BlockGrads,
        d_input: &mut [f32],
    ) -> [Option<Products<E>>; 2] {
        let width = self.params.norm.weight.len();
        let (rows, bottleneck) = (input.len() / width, self.params.bottleneck);
        self.up(input, scratch);

        let d_up = match self.params.norm_position {
            AdapterNorm::Pre => d_out,
            AdapterNorm::Post => {
                let d_up = sized(&mut scratch.d_up, input.len());
                d_up.fill(0.0);
                self.cpu.run(NormBackward {
                    params: self.params.norm,
                    eps: EPS,
                    x: &scratch.up[..input.len()],
                    d_out,
                    grads: grads.norm(NORM),
                    d_x: d_up,
                });
                d_up
            }
        };
        let d_up_element = sized(&mut scratch.d_up_element, input.len());
        self.cpu.run(ScaleRows { out: d_up_element, rows: d_up, scale: None });
        self.sum_rows(d_up_element, width, &mut grads[BlockTensor::UpBias]);

        let mut sink = ReluBackward {
            out: sized(&mut scratch.d_bottleneck, rows * bottleneck),
            result: &scratch.bottleneck,
            stride: bottleneck,
        };
        multiply(self.cpu, rows, Left::rows(d_up_element, width), &weights.up, &mut sink);
        let d_bottleneck = &scratch.d_bottleneck[..rows * bottleneck];
        self.sum_rows(d_bottleneck, bottleneck, &mut grads[BlockTensor::DownBias]);

        let d_normed = sized(&mut scratch.d_input, input.len());
        let mut sink = Scaled { out: d_normed, stride: width, alpha: 1.0, beta: 0.0 };
        multiply(self.cpu, rows, Left::rows(d_bottleneck, bottleneck), &weights.down, &mut sink);
        match self.params.norm_position {
            AdapterNorm::Pre => self.cpu.run(NormBackward {
                params: self.params.norm,
                eps: EPS,
                x: input,
                d_out: d_normed,
                grads: grads.norm(NORM),
                d_x: d_input,
            }),
            AdapterNorm::Post => self.cpu.run(AddTo { out: d_input, added: d_normed }),
        }

        let down = wanted[BlockTensor::DownWeight]
            .then(|| Products { d_out: d_bottleneck.to_vec(), input: scratch.input[..input.len()].to_vec() });
        let up = wanted[BlockTensor::UpWeight].then(|| Products {
            d_out: scratch.d_up_element[..input.len()].to_vec(),
            input: scratch.bottleneck[..rows * bottleneck].to_vec(),
        });
        [down, up]
    }

    fn sum_rows(&self, rows: &[E], stride: usize, sums: &mut Option<Vec<f32>>) {
        if let Some(sums) = sums {
            self.cpu.run(SumRows { rows, stride, sums });
        }
    }
}
