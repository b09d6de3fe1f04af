//! The block's forward, image by image.

use rayon::prelude::*;

use super::activation::{AddTo, GeluForward};
use super::adapter::{Adapter, AdapterScratch};
use super::grads::Wanted;
use super::params::{AdapterPlacement, BlockDims, BlockParams, Prompts};
use super::saved::{Activations, ImageActivations, Keep, Saved, State, part, split};
use super::weights::{ForwardWeights, Uses};
use crate::attention::{ForwardScratch, Heads, attention_forward};
use crate::cpu::Cpu;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};
use crate::gemm::{Bias, Left, Residual, multiply};
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
        Precision::F32 => Forward::<f32>::new(cpu, dims, params, Uses::ALL).infer(x, out),
        Precision::Bf16 => Forward::<Bf16>::new(cpu, dims, params, Uses::ALL).infer(x, out),
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
    keep: Keep,
    wanted: &Wanted,
    x: &[f32],
    out: &mut [f32],
) -> Result<Saved, KernelError> {
    params.check(dims, x)?;
    wanted.check(params)?;
    check_length("block output", dims.output_len(), out.len())?;
    let cpu = Cpu::detect();
    Ok(Saved(match (keep, precision) {
        (Keep::InputsOnly, _) => {
            block_forward(dims, params, precision, x, out)?;
            State::Nothing
        }
        (Keep::All, Precision::F32) => State::F32(Forward::new(cpu, dims, params, Uses::ALL).save(wanted, x, out)),
        (Keep::All, Precision::Bf16) => State::Bf16(Forward::new(cpu, dims, params, Uses::ALL).save(wanted, x, out)),
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
    normed: Vec<E>,
    attention: Vec<E>,
    activated: Vec<E>,
    heads: ForwardScratch<E>,
    adapter: AdapterScratch<E>,
}

impl<E: Element> ImageScratch<E> {
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self {
            normed: Vec::new(),
            attention: Vec::new(),
            activated: Vec::new(),
            heads: ForwardScratch::new(cpu),
            adapter: AdapterScratch::default(),
        }
    }
}

impl<'a, E: Element> Forward<'a, E> {
    pub(crate) fn new(cpu: Cpu, dims: &'a BlockDims, params: &'a BlockParams<'a>, uses: Uses) -> Self {
        let mut forward =
            Self { cpu, dims, params, weights: ForwardWeights::new(cpu, dims, params, uses), shared_kv: Vec::new() };
        if let (Some(Prompts::Shared(prompts)), true) = (params.prompts, uses.forward) {
            let mut kv = vec![E::default(); dims.prompts * 2 * dims.width];
            forward.prompt_kv(prompts, &mut Vec::new(), &mut kv);
            forward.shared_kv = kv;
        }
        forward
    }

    fn infer(&self, x: &[f32], out: &mut [f32]) {
        let (dims, batch) = (self.dims, self.dims.batch);
        let pool = Pool::new();
        let new = || {
            let activations = Activations::<E>::new(dims, self.params, 1, false, &Wanted::default());
            (activations, ImageScratch::new(self.cpu))
        };
        let images: Vec<_> = split(out, batch).enumerate().collect();
        images.into_par_iter().for_each(|(i, out)| {
            pool.with(new, |(activations, scratch)| {
                for mut image in activations.images(1) {
                    self.image(i, part(x, batch, i), &mut image, scratch, Some(&mut *out));
                }
            });
        });
    }

    fn save(&self, wanted: &Wanted, x: &[f32], out: &mut [f32]) -> Activations<E> {
        let (dims, batch) = (self.dims, self.dims.batch);
        let mut activations = Activations::new(dims, self.params, batch, true, wanted);
        let pool = Pool::new();
        let images: Vec<_> = activations.images(batch).into_iter().zip(split(out, batch)).collect();
        images.into_par_iter().enumerate().for_each(|(i, (mut image, out))| {
            pool.with(
                || ImageScratch::new(self.cpu),
                |scratch| self.image(i, part(x, batch, i), &mut image, scratch, Some(out)),
            );
        });
        activations.shared_kv.clone_from(&self.shared_kv);
        activations
    }

    /// Runs image `i`. Without `out` the forward ends where a backward no longer needs it.
    pub(crate) fn image(
        &self,
        i: usize,
        x: &[f32],
        image: &mut ImageActivations<'_, E>,
        scratch: &mut ImageScratch<E>,
        out: Option<&mut [f32]>,
    ) {
        let Self { cpu, dims, params, weights, .. } = self;
        let (cpu, width, outputs) = (*cpu, dims.width, dims.outputs);
        let output_len = dims.image_output_len();

        let normed = sized(&mut scratch.normed, x.len());
        cpu.run(NormForward { params: params.norm1, eps: dims.eps, x, out: normed });
        let normed = &scratch.normed[..x.len()];
        let (q_bias, kv_bias) = weights.qkv_bias.split_at(width);
        let mut queries = Bias { out: &mut *image.qkv, stride: 3 * width, bias: q_bias };
        multiply(cpu, outputs, Left::rows(normed, width), &weights.q, &mut queries);
        let mut keys_values = Bias { out: &mut image.qkv[width..], stride: 3 * width, bias: kv_bias };
        multiply(cpu, dims.tokens, Left::rows(normed, width), &weights.kv, &mut keys_values);
        let prompt_kv = match params.prompts {
            Some(Prompts::PerImage(prompts)) => {
                let prompts = part(prompts, dims.batch, i);
                self.prompt_kv(prompts, &mut scratch.normed, image.prompt_kv);
                &*image.prompt_kv
            }
            _ => &self.shared_kv,
        };

        let attention =
            if image.attention.is_empty() { sized(&mut scratch.attention, output_len) } else { &mut *image.attention };
        let heads = self.heads(image.qkv, prompt_kv);
        attention_forward(cpu, &heads, &mut scratch.heads, attention, image.log_sums);
        let mut middle = Residual {
            out: &mut *image.middle,
            residual: Some(x),
            bias: &weights.proj_bias,
            scale: params.layer_scale1,
        };
        multiply(cpu, outputs, Left::rows(attention, width), &weights.proj, &mut middle);

        let normed = sized(&mut scratch.normed, output_len);
        cpu.run(NormForward { params: params.norm2, eps: dims.eps, x: image.middle, out: normed });
        let sequential = !image.mlp.is_empty();
        if out.is_none() && image.hidden.is_empty() && !sequential {
            return;
        }
        let mut hidden = GeluForward {
            out: sized(&mut scratch.activated, outputs * dims.hidden),
            kept: &mut *image.hidden,
            bias: &weights.fc1_bias,
        };
        multiply(cpu, outputs, Left::rows(normed, width), &weights.fc1, &mut hidden);
        let left = Left::rows(&scratch.activated, dims.hidden);
        let end = |out, residual| Residual { out, residual, bias: &weights.fc2_bias, scale: params.layer_scale2 };
        let adapter = self.adapter();
        if sequential {
            multiply(cpu, outputs, left, &weights.fc2, &mut end(&mut *image.mlp, None));
        }
        let Some(out) = out else { return };
        match adapter {
            Some(adapter) if adapter.params.placement == AdapterPlacement::Sequential => {
                out.copy_from_slice(image.middle);
                cpu.run(AddTo { out: &mut *out, added: image.mlp });
                adapter.forward(image.mlp, &mut scratch.adapter, out);
            }
            adapter => {
                let mut sink = end(&mut *out, Some(&*image.middle));
                multiply(cpu, outputs, left, &weights.fc2, &mut sink);
                if let Some(adapter) = adapter {
                    adapter.forward(image.middle, &mut scratch.adapter, out);
                }
            }
        }
    }

    /// Keys and values of prompts: `[P, D]` to `[P, 2D]`.
    fn prompt_kv(&self, prompts: &[f32], normed: &mut Vec<E>, kv: &mut [E]) {
        let (dims, width) = (self.dims, self.dims.width);
        let normed = sized(normed, prompts.len());
        self.cpu.run(NormForward { params: self.params.norm1, eps: dims.eps, x: prompts, out: normed });
        let mut sink = Bias { out: kv, stride: 2 * width, bias: &self.weights.qkv_bias[width..] };
        let left = Left::rows(normed, width);
        multiply(self.cpu, dims.prompts, left, &self.weights.kv, &mut sink);
    }

    pub(crate) fn heads<'b>(&self, qkv: &'b [E], prompt_kv: &'b [E]) -> Heads<'b, E> {
        Heads {
            tokens: self.dims.tokens,
            prompts: self.dims.prompts,
            outputs: self.dims.outputs,
            width: self.dims.width,
            heads: self.dims.heads,
            qkv,
            prompt_kv,
        }
    }

    pub(crate) fn adapter(&self) -> Option<Adapter<'_, E>> {
        Some(Adapter { cpu: self.cpu, params: self.params.adapter.as_ref()?, weights: self.weights.adapter.as_ref()? })
    }
}
