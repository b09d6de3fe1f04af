//! Attention forward.

use std::ops::Range;

use super::{Heads, row_blocks};
use crate::buffer::Buffer;
use crate::cpu::{Cpu, Kernel, Simd};
use crate::element::Element;
use crate::elementwise::{map, maximum, sum};
use crate::gelu::exp;
use crate::gemm::{Left, Packed, Scaled, Sink, multiply};

/// Most query rows whose scores exist at a time.
const BLOCK_ROWS: usize = 64;

/// Working memory of one task, reused from head to head.
pub(crate) struct ForwardScratch<E> {
    keys: Packed<E>,
    values: Packed<E>,
    scores: Buffer<f32>,
    probabilities: Buffer<E>,
    inverse_sums: Buffer<f32>,
}

impl<E: Element> ForwardScratch<E> {
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self {
            keys: Packed::new(cpu, 0, 0),
            values: Packed::new(cpu, 0, 0),
            scores: Buffer::new(),
            probabilities: Buffer::new(),
            inverse_sums: Buffer::new(),
        }
    }
}

/// Attention of all heads of an image, for the queries of `rows`.
///
/// `out` is `[rows, width]`; `log_sums` `[rows, heads]` receives the logarithm of each row's sum of exponentials.
pub(crate) fn attention_forward<E: Element>(
    cpu: Cpu,
    heads: &Heads<'_, E>,
    rows: Range<usize>,
    scratch: &mut ForwardScratch<E>,
    out: &mut [E],
    log_sums: &mut [f32],
) {
    let (width, head_dim, keys) = (heads.width, heads.head_dim(), heads.keys());
    let stride = heads.score_stride();
    for head in 0..heads.heads {
        let (prompt_keys, token_keys) = heads.keys_of(head);
        scratch.keys.reset(head_dim, keys);
        scratch.keys.set_columns(0, heads.prompts, prompt_keys, 2 * width);
        scratch.keys.set_columns(heads.prompts, heads.tokens, token_keys, 3 * width);
        let (prompt_values, token_values) = heads.values_of(head);
        scratch.values.reset(keys, head_dim);
        scratch.values.set_depth_rows(0, heads.prompts, prompt_values, 2 * width);
        scratch.values.set_depth_rows(heads.prompts, heads.tokens, token_values, 3 * width);
        for block in row_blocks(rows.clone(), BLOCK_ROWS) {
            let (count, first) = (block.len(), block.start - rows.start);
            scratch.scores.resize(count * stride);
            scratch.probabilities.resize(count * stride);
            scratch.inverse_sums.resize(count);
            let queries = &heads.queries(head)[block.start * 3 * width..];
            let mut sink = Scaled { out: &mut scratch.scores, stride, alpha: heads.scale(), beta: 0.0 };
            multiply(cpu, count, Left::rows(queries, 3 * width), &scratch.keys, &mut sink);
            cpu.run(Softmax {
                scores: &mut scratch.scores,
                keys,
                stride,
                probabilities: &mut scratch.probabilities,
                inverse_sums: &mut scratch.inverse_sums,
                log_sums: &mut log_sums[first * heads.heads + head..],
                log_sum_stride: heads.heads,
            });
            let mut sink = Normalized {
                out: &mut out[first * width + head * head_dim..],
                stride: width,
                inverse_sums: &scratch.inverse_sums,
            };
            let left = Left::padded_rows(&scratch.probabilities, stride);
            multiply(cpu, count, left, &scratch.values, &mut sink);
        }
    }
}

/// Exponentials of scores less their row's maximum; the division by their sum is left to the product's end.
struct Softmax<'a, E> {
    scores: &'a mut [f32],
    keys: usize,
    stride: usize,
    probabilities: &'a mut [E],
    inverse_sums: &'a mut [f32],
    log_sums: &'a mut [f32],
    log_sum_stride: usize,
}

impl<E: Element> Kernel for Softmax<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let rows = self.scores.chunks_exact_mut(self.stride);
        let probabilities = self.probabilities.chunks_exact_mut(self.stride);
        let sums = self.inverse_sums.iter_mut().zip(self.log_sums.iter_mut().step_by(self.log_sum_stride));
        for ((scores, probabilities), (inverse_sum, log_sum)) in rows.zip(probabilities).zip(sums) {
            let scores = &scores[..self.keys];
            // The product reads pairs: what follows an odd row must be a number.
            let (probabilities, rest) = probabilities.split_at_mut(self.keys);
            rest.fill(E::default());
            let largest = maximum(simd, scores);
            map!(simd, probabilities, [score = scores] => exp(score - largest));
            let sum = sum!(simd, [p = probabilities] => p);
            *inverse_sum = 1.0 / sum;
            *log_sum = largest + sum.ln();
        }
    }
}

/// `out = sums * inverse_sums[row]`.
struct Normalized<'a, E> {
    out: &'a mut [E],
    stride: usize,
    inverse_sums: &'a [f32],
}

impl<E: Element> Sink for Normalized<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        let inverse = self.inverse_sums[row];
        map!(simd, out, [sum = sums] => sum * inverse);
    }
}
