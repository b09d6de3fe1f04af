//! The block's forward: one task an image, or several where images are few.

use std::ops::Range;

use rayon::prelude::*;

use super::activation::{AddTo, GeluForward};
use super::adapter::{Adapter, AdapterScratch};
use super::grads::Wanted;
use super::params::{AdapterPlacement, BlockDims, BlockParams, Prompts};
use super::saved::{
    Activations, Checkpoint, ImageActivations, RowActivations, Saved, State, part, ranges, split, split_off,
};
use super::side::{SideScratch, Sides, multiply_beside};
use super::tensors::BlockTensor;
use super::weight_cache::Cached;
use super::weights::{ForwardWeights, Matrices, Uses};
use crate::attention::{ForwardScratch, Heads, attention_forward};
use crate::buffer::Buffer;
use crate::cpu::Cpu;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};
use crate::gemm::{Bias, Left, Residual};
use crate::norm::NormForward;
use crate::precision::Precision;
use crate::scratch::{Pool, sized};

/// A block's output; nothing is kept for a backward.
///
/// # Shapes
/// `x` is `[batch, tokens, width]`, `out` is `[batch, outputs, width]`.
///
/// # Errors
/// [`KernelError`] if a slice does not fit the dimensions.
pub fn block_forward(
    dims: &BlockDims,
    params: &BlockParams<'_>,
    precision: Precision,
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    params.check(dims, x)?;
    check_length("block output", dims.output_len(), out.len())?;
    let cpu = Cpu::detect();
    match precision {
        Precision::F32 => Forward::<f32>::new(cpu, dims, params, Uses::ALL).infer(dims.batch, x, out),
        Precision::Bf16 => Forward::<Bf16>::new(cpu, dims, params, Uses::ALL).infer(dims.batch, x, out),
    }
    Ok(())
}

/// A block's output, and what [`block_backward`](super::block_backward) needs to know of it for the `wanted` gradients.
///
/// # Shapes
/// `x` is `[batch, tokens, width]`, `out` is `[batch, outputs, width]`.
///
/// # Errors
/// [`KernelError`] if a slice does not fit the dimensions, or a gradient is wanted of something absent.
pub fn block_forward_saving(
    dims: &BlockDims,
    params: &BlockParams<'_>,
    precision: Precision,
    checkpoint: Checkpoint,
    wanted: &Wanted,
    x: &[f32],
    out: &mut [f32],
) -> Result<Saved, KernelError> {
    params.check(dims, x)?;
    wanted.check(params)?;
    check_length("block output", dims.output_len(), out.len())?;
    let cpu = Cpu::detect();
    let checkpoint = checkpoint.for_hidden(dims.batch * dims.outputs * dims.hidden);
    let hidden = checkpoint == Checkpoint::None;
    Ok(Saved(match (checkpoint, precision) {
        (Checkpoint::Block, _) => {
            block_forward(dims, params, precision, x, out)?;
            State::Nothing
        }
        (_, Precision::F32) => State::F32(Forward::new(cpu, dims, params, Uses::ALL).save(hidden, wanted, x, out)),
        (_, Precision::Bf16) => State::Bf16(Forward::new(cpu, dims, params, Uses::ALL).save(hidden, wanted, x, out)),
    }))
}

/// A forward with its weights packed, ready to run images.
pub(crate) struct Forward<'a, E> {
    pub cpu: Cpu,
    pub dims: &'a BlockDims,
    pub params: &'a BlockParams<'a>,
    pub weights: ForwardWeights<'a, E>,
    /// Keys and values of shared prompts, `[P, 2D]`; empty without, and where no forward is computed.
    pub shared_kv: Vec<E>,
}

/// Working memory of one task.
pub(crate) struct ImageScratch<E> {
    normed: Buffer<E>,
    attention: Buffer<E>,
    activated: Buffer<E>,
    heads: ForwardScratch<E>,
    adapter: AdapterScratch<E>,
    side: SideScratch<E>,
}

impl<E: Element> ImageScratch<E> {
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self {
            normed: Buffer::new(),
            attention: Buffer::new(),
            activated: Buffer::new(),
            heads: ForwardScratch::new(cpu),
            adapter: AdapterScratch::default(),
            side: SideScratch::default(),
        }
    }
}

impl<'a, E: Cached> Forward<'a, E> {
    pub(crate) fn new(cpu: Cpu, dims: &'a BlockDims, params: &'a BlockParams<'a>, uses: Uses) -> Self {
        let weights = BlockTensor::MATRICES.map(|matrix| params.of(matrix));
        let matrices = Matrices::new(cpu, [dims.width, dims.hidden], weights, uses, params.cache);
        let weights = ForwardWeights::new(cpu, dims, params, matrices, Sides::NONE);
        Self::with_weights(cpu, dims, params, weights, uses.forward)
    }

    /// A forward over weights that are packed already.
    pub(crate) fn with_weights(
        cpu: Cpu,
        dims: &'a BlockDims,
        params: &'a BlockParams<'a>,
        weights: ForwardWeights<'a, E>,
        computes_keys: bool,
    ) -> Self {
        let mut forward = Self { cpu, dims, params, weights, shared_kv: Vec::new() };
        if let (Some(Prompts::Shared(prompts)), true) = (params.prompts(), computes_keys) {
            let mut kv = vec![E::default(); dims.prompts * 2 * dims.width];
            forward.prompt_kv(prompts, &mut Buffer::new(), &mut SideScratch::default(), &mut kv);
            forward.shared_kv = kv;
        }
        forward
    }

    /// `in_flight` images are computed at the same time, these among them.
    pub(crate) fn infer(&self, in_flight: usize, x: &[f32], out: &mut [f32]) {
        let (dims, batch) = (self.dims, self.dims.batch);
        let room = |images| Activations::<E>::new(dims, self.params, images, false, &Wanted::default());
        let parts = self.parts(in_flight);
        if parts > 1 {
            return self.run_in_parts(parts, &mut room(batch), x, out);
        }
        let pool = Pool::new();
        let images: Vec<_> = split(out, batch).enumerate().collect();
        images.into_par_iter().for_each(|(i, out)| {
            pool.with(
                || (room(1), ImageScratch::new(self.cpu)),
                |(activations, scratch)| {
                    for image in activations.images(1) {
                        self.image(i, part(x, batch, i), image, scratch, Some(&mut *out));
                    }
                },
            );
        });
    }

    fn save(&self, keep_hidden: bool, wanted: &Wanted, x: &[f32], out: &mut [f32]) -> Activations<E> {
        let (dims, batch) = (self.dims, self.dims.batch);
        let mut activations = Activations::new(dims, self.params, batch, keep_hidden, wanted);
        activations.shared_kv.clone_from(&self.shared_kv);
        let parts = self.parts(batch);
        if parts > 1 {
            self.run_in_parts(parts, &mut activations, x, out);
            return activations;
        }
        let pool = Pool::new();
        let images: Vec<_> = activations.images(batch).into_iter().zip(split(out, batch)).collect();
        images.into_par_iter().enumerate().for_each(|(i, (image, out))| {
            pool.with(
                || ImageScratch::new(self.cpu),
                |scratch| self.image(i, part(x, batch, i), image, scratch, Some(out)),
            );
        });
        activations
    }

    /// How many tasks share an image: more than one where there are too few images to keep all threads busy.
    /// Rows do not depend on each other's tasks, so the result does not depend on this.
    fn parts(&self, in_flight: usize) -> usize {
        const LEAST_ROWS: usize = 32;
        let threads = rayon::current_num_threads();
        let wanted = if threads > 1 { (4 * threads).div_ceil(in_flight.max(1)) } else { 1 };
        wanted.min(self.dims.tokens / LEAST_ROWS).max(1)
    }

    /// All images, each in several tasks: first all keys and values, then all outputs.
    fn run_in_parts(&self, parts: usize, activations: &mut Activations<E>, x: &[f32], out: &mut [f32]) {
        let (dims, batch, width) = (self.dims, self.dims.batch, self.dims.width);
        let pool = Pool::new();
        let scratch = || ImageScratch::new(self.cpu);
        let mut tasks = Vec::new();
        for (i, image) in activations.images(batch).into_iter().enumerate() {
            let mut qkv = image.qkv;
            let mut prompt_kv = Some(image.prompt_kv);
            for rows in ranges(dims.tokens, parts) {
                tasks.push((i, rows.clone(), split_off(&mut qkv, rows.len() * 3 * width), prompt_kv.take()));
            }
        }
        tasks.into_par_iter().for_each(|(i, rows, qkv, prompt_kv)| {
            pool.with(scratch, |scratch| {
                let x = &part(x, batch, i)[rows.start * width..rows.end * width];
                self.queries_keys_values(x, rows.start, qkv, scratch);
                if let Some(prompt_kv) = prompt_kv {
                    self.image_prompt_kv(i, scratch, prompt_kv);
                }
            });
        });
        let mut tasks = Vec::new();
        for ((i, image), mut out) in activations.images(batch).into_iter().enumerate().zip(split(out, batch)) {
            let ImageActivations { qkv, prompt_kv, rows: mut kept } = image;
            let (qkv, prompt_kv): (&[E], &[E]) = (qkv, prompt_kv);
            for rows in ranges(dims.outputs, parts) {
                let kept = kept.split_off(rows.len(), dims);
                tasks.push((i, rows.clone(), qkv, prompt_kv, kept, split_off(&mut out, rows.len() * width)));
            }
        }
        tasks.into_par_iter().for_each(|(i, rows, qkv, prompt_kv, kept, out)| {
            pool.with(scratch, |scratch| {
                self.outputs(part(x, batch, i), rows, self.heads(qkv, prompt_kv), kept, scratch, Some(out));
            });
        });
    }

    /// Runs image `i` in one task. Without `out` the forward ends where a backward no longer needs it.
    pub(crate) fn image(
        &self,
        i: usize,
        x: &[f32],
        image: ImageActivations<'_, E>,
        scratch: &mut ImageScratch<E>,
        out: Option<&mut [f32]>,
    ) {
        self.queries_keys_values(x, 0, image.qkv, scratch);
        self.image_prompt_kv(i, scratch, image.prompt_kv);
        let heads = self.heads(image.qkv, image.prompt_kv);
        self.outputs(x, 0..self.dims.outputs, heads, image.rows, scratch, out);
    }

    /// `x` and `qkv` are rows of an image from row `first` on.
    fn queries_keys_values(&self, x: &[f32], first: usize, qkv: &mut [E], scratch: &mut ImageScratch<E>) {
        let Self { cpu, dims, params, weights, .. } = self;
        let (cpu, width) = (*cpu, dims.width);
        let rows = x.len() / width;
        let normed = sized(&mut scratch.normed, x.len());
        cpu.run(NormForward { params: params.norm1(), eps: dims.eps, x, out: normed });
        let left = Left::rows(normed, width);
        let (q_bias, kv_bias) = weights.qkv_bias.split_at(width);
        let mut queries = Bias { out: &mut *qkv, stride: 3 * width, bias: q_bias };
        let queried = rows.min(dims.outputs.saturating_sub(first));
        multiply_beside(cpu, queried, left, (&weights.matrices.q, &weights.sides.q), &mut scratch.side, &mut queries);
        let mut keys_values = Bias { out: &mut qkv[width..], stride: 3 * width, bias: kv_bias };
        multiply_beside(
            cpu,
            rows,
            left,
            (&weights.matrices.kv, &weights.sides.kv),
            &mut scratch.side,
            &mut keys_values,
        );
    }

    /// Rows `rows` of an image's output, once the image's keys and values are there.
    fn outputs(
        &self,
        x: &[f32],
        rows: Range<usize>,
        heads: Heads<'_, E>,
        kept: RowActivations<'_, E>,
        scratch: &mut ImageScratch<E>,
        out: Option<&mut [f32]>,
    ) {
        let Self { cpu, dims, params, weights, .. } = self;
        let (cpu, width, count) = (*cpu, dims.width, rows.len());
        let x = &x[rows.start * width..rows.end * width];

        let attention = if kept.attention.is_empty() { sized(&mut scratch.attention, x.len()) } else { kept.attention };
        attention_forward(cpu, &heads, rows, &mut scratch.heads, attention, kept.log_sums);
        let middle = kept.middle;
        let mut sink = Residual {
            out: &mut *middle,
            residual: Some(x),
            bias: &weights.proj_bias,
            scale: params.tensors[BlockTensor::Scale1],
        };
        let left = Left::rows(attention, width);
        multiply_beside(cpu, count, left, (&weights.matrices.proj, &weights.sides.proj), &mut scratch.side, &mut sink);

        let sequential = !kept.mlp.is_empty();
        if out.is_none() && kept.hidden.is_empty() && !sequential {
            return;
        }
        let normed = sized(&mut scratch.normed, x.len());
        cpu.run(NormForward { params: params.norm2(), eps: dims.eps, x: middle, out: normed });
        let activated = sized(&mut scratch.activated, count * dims.hidden);
        let mut hidden = GeluForward { out: activated, kept: kept.hidden, bias: &weights.fc1_bias };
        let left = Left::rows(normed, width);
        multiply_beside(cpu, count, left, (&weights.matrices.fc1, &weights.sides.fc1), &mut scratch.side, &mut hidden);
        let left = Left::rows(&scratch.activated, dims.hidden);
        let fc2 = (&*weights.matrices.fc2, &weights.sides.fc2);
        let end = |out, residual| Residual {
            out,
            residual,
            bias: &weights.fc2_bias,
            scale: params.tensors[BlockTensor::Scale2],
        };
        if sequential {
            multiply_beside(cpu, count, left, fc2, &mut scratch.side, &mut end(&mut *kept.mlp, None));
        }
        let Some(out) = out else { return };
        match self.adapter() {
            Some(adapter) if adapter.params.placement == AdapterPlacement::Sequential => {
                out.copy_from_slice(middle);
                cpu.run(AddTo { out: &mut *out, added: kept.mlp });
                adapter.forward(kept.mlp, &mut scratch.adapter, out);
            }
            adapter => {
                multiply_beside(cpu, count, left, fc2, &mut scratch.side, &mut end(&mut *out, Some(&*middle)));
                if let Some(adapter) = adapter {
                    adapter.forward(middle, &mut scratch.adapter, out);
                }
            }
        }
    }

    /// Keys and values of image `i`'s own prompts, where it has some.
    fn image_prompt_kv(&self, i: usize, scratch: &mut ImageScratch<E>, kv: &mut [E]) {
        if let Some(Prompts::PerImage(prompts)) = self.params.prompts() {
            self.prompt_kv(part(prompts, self.dims.batch, i), &mut scratch.normed, &mut scratch.side, kv);
        }
    }

    /// Keys and values of prompts: `[P, D]` to `[P, 2D]`.
    fn prompt_kv(&self, prompts: &[f32], normed: &mut Buffer<E>, side: &mut SideScratch<E>, kv: &mut [E]) {
        let (dims, width) = (self.dims, self.dims.width);
        let normed = sized(normed, prompts.len());
        self.cpu.run(NormForward { params: self.params.norm1(), eps: dims.eps, x: prompts, out: normed });
        let mut sink = Bias { out: kv, stride: 2 * width, bias: &self.weights.qkv_bias[width..] };
        let left = Left::rows(normed, width);
        multiply_beside(
            self.cpu,
            dims.prompts,
            left,
            (&self.weights.matrices.kv, &self.weights.sides.kv),
            side,
            &mut sink,
        );
    }

    /// An image's queries, keys and values; `prompt_kv` is empty where prompts are shared.
    fn heads<'b>(&'b self, qkv: &'b [E], prompt_kv: &'b [E]) -> Heads<'b, E> {
        let prompt_kv = if prompt_kv.is_empty() { &self.shared_kv } else { prompt_kv };
        Heads::new(self.dims, qkv, prompt_kv)
    }

    pub(crate) fn adapter(&self) -> Option<Adapter<'_, E>> {
        Some(Adapter { cpu: self.cpu, params: self.params.adapter()?, weights: self.weights.adapter.as_ref()? })
    }
}
