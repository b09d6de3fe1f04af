//! Attention backward: probabilities computed again, a block of query rows of one head at a time.
//!
//! ```text
//! P = exp(q k^T scale - log_sum)      dP = dO v^T      dS = P * (dP - rowsum(P * dP)) * scale
//! dq = dS k                           dk^T = q^T dS    dv^T = dO^T P
//! ```
//! Keys and values get their gradients transposed, so that the large operand of those products is packed row by row.

use super::{Heads, row_blocks};
use crate::buffer::Buffer;
use crate::cpu::{Cpu, Kernel, Simd};
use crate::element::Element;
use crate::elementwise::{map, sum};
use crate::gelu::exp;
use crate::gemm::{Add, Left, Packed, Sink, Store, multiply};
use crate::lanes::Lanes;
use crate::scratch::sized;

/// Most query rows whose scores exist at a time.
const BLOCK_ROWS: usize = 128;

/// Working memory of one task, reused from head to head.
pub(crate) struct BackwardScratch<E> {
    keys: Packed<E>,
    values: Packed<E>,
    key_rows: Packed<E>,
    columns: Packed<E>,
    probabilities: Buffer<E>,
    d_probabilities: Buffer<f32>,
    d_scores: Buffer<E>,
    d_keys: Buffer<f32>,
    d_values: Buffer<f32>,
}

impl<E: Element> BackwardScratch<E> {
    pub(crate) fn new(cpu: Cpu) -> Self {
        let packed = || Packed::new(cpu, 0, 0);
        Self {
            keys: packed(),
            values: packed(),
            key_rows: packed(),
            columns: packed(),
            probabilities: Buffer::new(),
            d_probabilities: Buffer::new(),
            d_scores: Buffer::new(),
            d_keys: Buffer::new(),
            d_values: Buffer::new(),
        }
    }
}

/// Gradients of queries, keys and values of all heads of an image.
///
/// `d_out` is `[outputs, width]`; `d_qkv` `[tokens, 3 width]` and `d_prompt_kv` `[prompts, 2 width]` are overwritten
/// (queries of tokens that have no output: with zeros).
pub(crate) fn attention_backward<E: Element>(
    cpu: Cpu,
    heads: &Heads<'_, E>,
    log_sums: &[f32],
    d_out: &[E],
    scratch: &mut BackwardScratch<E>,
    d_qkv: &mut [E],
    d_prompt_kv: &mut [E],
) {
    let (width, head_dim, keys) = (heads.width, heads.head_dim(), heads.keys());
    let stride = heads.score_stride();
    for row in d_qkv.chunks_exact_mut(3 * width).skip(heads.outputs) {
        row[..width].fill(E::default());
    }
    for head in 0..heads.heads {
        let (prompt_keys, token_keys) = heads.keys_of(head);
        let (prompt_values, token_values) = heads.values_of(head);
        for (packed, prompts, tokens) in
            [(&mut scratch.keys, prompt_keys, token_keys), (&mut scratch.values, prompt_values, token_values)]
        {
            packed.reset(head_dim, keys);
            packed.set_columns(0, heads.prompts, prompts, 2 * width);
            packed.set_columns(heads.prompts, heads.tokens, tokens, 3 * width);
        }
        scratch.key_rows.reset(keys, head_dim);
        scratch.key_rows.set_depth_rows(0, heads.prompts, prompt_keys, 2 * width);
        scratch.key_rows.set_depth_rows(heads.prompts, heads.tokens, token_keys, 3 * width);
        sized(&mut scratch.d_keys, keys * head_dim).fill(0.0);
        sized(&mut scratch.d_values, keys * head_dim).fill(0.0);
        for rows in row_blocks(0..heads.outputs, BLOCK_ROWS) {
            let count = rows.len();
            scratch.probabilities.resize(count * stride);
            scratch.d_probabilities.resize(count * stride);
            scratch.d_scores.resize(count * stride);
            let queries = &heads.queries(head)[rows.start * 3 * width..];
            let d_out = &d_out[rows.start * width + head * head_dim..];
            let mut sink = Probabilities {
                out: &mut scratch.probabilities,
                stride,
                scale: heads.scale(),
                log_sums: &log_sums[rows.start * heads.heads + head..],
                log_sum_stride: heads.heads,
            };
            multiply(cpu, count, Left::rows(queries, 3 * width), &scratch.keys, &mut sink);
            let mut sink = Store::new(&mut scratch.d_probabilities, stride);
            multiply(cpu, count, Left::rows(d_out, width), &scratch.values, &mut sink);
            cpu.run(ScoreGradients {
                probabilities: &scratch.probabilities,
                d_probabilities: &scratch.d_probabilities,
                d_scores: &mut scratch.d_scores,
                keys,
                stride,
                scale: heads.scale(),
            });
            let d_queries = &mut d_qkv[rows.start * 3 * width + head * head_dim..];
            let left = Left::padded_rows(&scratch.d_scores, stride);
            let mut sink = Store::new(d_queries, 3 * width);
            multiply(cpu, count, left, &scratch.key_rows, &mut sink);
            for (rows, left, gradients) in [
                (&scratch.d_scores, Left::transposed(queries, 3 * width), &mut scratch.d_keys),
                (&scratch.probabilities, Left::transposed(d_out, width), &mut scratch.d_values),
            ] {
                scratch.columns.reset(count, keys);
                scratch.columns.set_depth_rows(0, count, rows, stride);
                multiply(cpu, head_dim, left, &scratch.columns, &mut Add::new(gradients, keys));
            }
        }
        cpu.run(Scatter {
            d_keys: &scratch.d_keys,
            d_values: &scratch.d_values,
            keys,
            first: head * head_dim,
            width,
            prompts: heads.prompts,
            d_qkv,
            d_prompt_kv,
        });
    }
}

/// `out = exp(scale * sums - log_sum of the row)`.
struct Probabilities<'a, E> {
    out: &'a mut [E],
    stride: usize,
    scale: f32,
    log_sums: &'a [f32],
    log_sum_stride: usize,
}

impl<E: Element> Sink for Probabilities<'_, E> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, col: usize, sums: &[f32]) {
        let out = &mut self.out[row * self.stride + col..][..sums.len()];
        let (scale, log_sum) = (self.scale, self.log_sums[row * self.log_sum_stride]);
        let (scale, shift) = (Lanes::splat(simd, scale), Lanes::splat(simd, -log_sum));
        map!(simd, out, [sum = sums] => exp(sum.mul_add(scale, shift)));
    }
}

/// `dS` from `P` and `dP`, row by row.
struct ScoreGradients<'a, E> {
    probabilities: &'a [E],
    d_probabilities: &'a [f32],
    d_scores: &'a mut [E],
    keys: usize,
    stride: usize,
    scale: f32,
}

impl<E: Element> Kernel for ScoreGradients<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let (keys, stride, scale) = (self.keys, self.stride, self.scale);
        let rows = self.probabilities.chunks_exact(stride);
        let d_rows = self.d_probabilities.chunks_exact(stride);
        for ((p, d_p), d_s) in rows.zip(d_rows).zip(self.d_scores.chunks_exact_mut(stride)) {
            let (p, d_p) = (&p[..keys], &d_p[..keys]);
            let mean = sum!(simd, [p = p, d_p = d_p] => p * d_p);
            let (d_s, rest) = d_s.split_at_mut(keys);
            // The product reads pairs: what follows an odd row must be a number.
            rest.fill(E::default());
            map!(simd, d_s, [p = p, d_p = d_p] => p * (d_p - mean) * scale);
        }
    }
}

/// Writes one head's key and value gradients, transposed, into the rows of prompts and tokens.
struct Scatter<'a, E> {
    /// `[head_dim, keys]`, as `d_values`.
    d_keys: &'a [f32],
    d_values: &'a [f32],
    keys: usize,
    first: usize,
    width: usize,
    prompts: usize,
    d_qkv: &'a mut [E],
    d_prompt_kv: &'a mut [E],
}

impl<E: Element> Kernel for Scatter<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, _: S) {
        let (keys, first, width) = (self.keys, self.first, self.width);
        let prompt_rows = self.d_prompt_kv.chunks_exact_mut(2 * width);
        let token_rows = self.d_qkv.chunks_exact_mut(3 * width).map(|row| &mut row[width..]);
        for (key, row) in prompt_rows.take(self.prompts).chain(token_rows).enumerate() {
            let (d_key, d_value) = row.split_at_mut(width);
            for (to, d) in d_key[first..].iter_mut().zip(self.d_keys[key..].iter().step_by(keys)) {
                *to = E::from_f32(*d);
            }
            for (to, d) in d_value[first..].iter_mut().zip(self.d_values[key..].iter().step_by(keys)) {
                *to = E::from_f32(*d);
            }
        }
    }
}
