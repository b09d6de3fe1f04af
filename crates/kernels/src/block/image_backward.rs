//! One image's backward.

use super::activation::{Gelu, GeluBackward, ScaleGradient, ScaleRows};
use super::adapter::AdapterScratch;
use super::forward::{Forward, ImageScratch};
use super::grads::{BlockGrads, Wanted};
use super::params::{AdapterPlacement, Prompts};
use super::saved::{Activations, ImageView, part};
use super::tensors::{BlockTensor, PerTensor};
use super::weight_cache::Cached;
use super::weights::{AttentionBackwardWeights, BackwardWeights};
use crate::attention::{BackwardScratch, Heads, attention_backward};
use crate::buffer::Buffer;
use crate::cpu::Cpu;
use crate::element::Element;
use crate::gemm::{Add, Bias, Left, Store, multiply};
use crate::linear::Products;
use crate::norm::{LayerNormParams, NormBackward, NormForward, SumRows};
use crate::scratch::sized;

const NORM1: [BlockTensor; 2] = [BlockTensor::Norm1Weight, BlockTensor::Norm1Bias];

/// What lies between the attention and the MLP's hidden layer.
const BEFORE_HIDDEN: [BlockTensor; 5] = [
    BlockTensor::ProjWeight,
    BlockTensor::ProjBias,
    BlockTensor::Scale1,
    BlockTensor::Norm2Weight,
    BlockTensor::Norm2Bias,
];

/// A backward with its weights packed, ready to run images.
pub(crate) struct ImageBackward<'a, E> {
    pub forward: Forward<'a, E>,
    pub weights: BackwardWeights<E>,
    pub wanted: &'a Wanted,
    /// Absent where the forward is to be computed again.
    pub saved: Option<&'a Activations<E>>,
}

/// What one image's backward adds to the batch's.
pub(crate) struct ImageResult<E> {
    /// Small tensors, summed over the image's rows.
    pub grads: BlockGrads,
    /// Gradients of the keys and values of shared prompts, `[P, 2D]`; empty without.
    pub d_prompt_kv: Vec<E>,
    pub products: ImageProducts<E>,
}

/// Factors of the weight gradients, which are products; empty where not wanted.
pub(crate) type ImageProducts<E> = PerTensor<Vec<Products<E>>>;

/// Working memory of one task.
pub(crate) struct BackwardImageScratch<E> {
    /// Room for the forward computed again; empty until needed.
    recomputed: Option<(Activations<E>, ImageScratch<E>)>,
    d_middle: Buffer<f32>,
    d_branch: Buffer<f32>,
    d_normed: Buffer<f32>,
    branch: Buffer<f32>,
    d_rows: Buffer<E>,
    /// The MLP's hidden layer, where it was not kept.
    hidden: Buffer<E>,
    normed: Buffer<E>,
    d_hidden: Buffer<E>,
    activated: Buffer<E>,
    d_attention: Buffer<E>,
    d_qkv: Buffer<E>,
    heads: BackwardScratch<E>,
    adapter: AdapterScratch<E>,
}

impl<E: Cached> BackwardImageScratch<E> {
    pub(crate) fn new(forward: &Forward<'_, E>) -> Self {
        Self {
            recomputed: None,
            d_middle: Buffer::new(),
            d_branch: Buffer::new(),
            d_normed: Buffer::new(),
            branch: Buffer::new(),
            d_rows: Buffer::new(),
            hidden: Buffer::new(),
            normed: Buffer::new(),
            d_hidden: Buffer::new(),
            activated: Buffer::new(),
            d_attention: Buffer::new(),
            d_qkv: Buffer::new(),
            heads: BackwardScratch::new(forward.cpu),
            adapter: AdapterScratch::default(),
        }
    }
}

impl<E: Cached> ImageBackward<'_, E> {
    /// Gradients of image `i`.
    pub(crate) fn image(
        &self,
        i: usize,
        x: &[f32],
        d_out: &[f32],
        scratch: &mut BackwardImageScratch<E>,
        d_x: Option<&mut [f32]>,
        d_prompts: Option<&mut [f32]>,
    ) -> ImageResult<E> {
        let Forward { cpu, dims, params, .. } = self.forward;
        let mut result = ImageResult {
            grads: BlockGrads::image_zeros(self.wanted, params),
            d_prompt_kv: Vec::new(),
            products: ImageProducts::default(),
        };
        let mut recomputed = scratch.recomputed.take();
        let view = match self.saved {
            Some(saved) => saved.view(dims.batch, i),
            None => {
                let (activations, forward) = recomputed.get_or_insert_with(|| {
                    let one = Activations::new(dims, params, 1, true, self.wanted);
                    (one, ImageScratch::new(cpu))
                });
                for image in activations.images(1) {
                    self.forward.image(i, x, image, forward, None);
                }
                activations.view(1, 0)
            }
        };
        let mut hidden = std::mem::take(&mut scratch.hidden);
        let view = if view.hidden.is_empty() {
            self.hidden(view.middle, &mut scratch.normed, &mut hidden);
            ImageView { hidden: &hidden, ..view }
        } else {
            view
        };
        let mut d_middle = std::mem::take(&mut scratch.d_middle);
        sized(&mut d_middle, d_out.len()).copy_from_slice(d_out);
        self.mlp(&view, d_out, scratch, &mut d_middle, &mut result);
        self.attention(i, x, &view, &d_middle, scratch, d_x, d_prompts, &mut result);
        scratch.d_middle = d_middle;
        scratch.hidden = hidden;
        scratch.recomputed = recomputed;
        result
    }

    /// The MLP's hidden layer before GELU once more, bit for bit what the forward computed.
    fn hidden(&self, middle: &[f32], normed: &mut Buffer<E>, hidden: &mut Buffer<E>) {
        let Forward { cpu, dims, params, ref weights, .. } = self.forward;
        let normed = sized(normed, middle.len());
        cpu.run(NormForward { params: params.norm2(), eps: dims.eps, x: middle, out: normed });
        let out = sized(hidden, dims.outputs * dims.hidden);
        let mut sink = Bias { out, stride: dims.hidden, bias: &weights.fc1_bias };
        multiply(cpu, dims.outputs, Left::rows(normed, dims.width), &weights.matrices.fc1, &mut sink);
    }

    /// The MLP branch and the adapter: adds to `d_middle`, which holds `d_out`.
    fn mlp(
        &self,
        view: &ImageView<'_, E>,
        d_out: &[f32],
        scratch: &mut BackwardImageScratch<E>,
        d_middle: &mut [f32],
        result: &mut ImageResult<E>,
    ) {
        let Forward { cpu, dims, params, ref weights, .. } = self.forward;
        let (outputs, width, hidden) = (dims.outputs, dims.width, dims.hidden);
        let wanted = self.wanted;

        let mut d_branch = d_out;
        if let (Some(adapter), Some(weights)) = (self.forward.adapter(), &self.weights.adapter) {
            let (input, d_input) = match adapter.params.placement {
                AdapterPlacement::Parallel => (view.middle, &mut *d_middle),
                AdapterPlacement::Sequential => {
                    let sum = sized(&mut scratch.d_branch, d_out.len());
                    sum.copy_from_slice(d_out);
                    (view.mlp, sum)
                }
            };
            let (grads, scratch_adapter) = (&mut result.grads, &mut scratch.adapter);
            let [down, up] = adapter.backward(weights, wanted, input, d_out, scratch_adapter, grads, d_input);
            result.products[BlockTensor::DownWeight].extend(down);
            result.products[BlockTensor::UpWeight].extend(up);
            if adapter.params.placement == AdapterPlacement::Sequential {
                d_branch = &scratch.d_branch[..d_out.len()];
            }
        }

        let hidden_len = outputs * hidden;
        if wanted.any(&[BlockTensor::Fc2Weight, BlockTensor::Scale2]) {
            cpu.run(Gelu { out: sized(&mut scratch.activated, hidden_len), hidden: view.hidden });
        }
        if let Some(sums) = &mut result.grads[BlockTensor::Scale2] {
            let branch = sized(&mut scratch.branch, d_out.len());
            let mut sink = Bias { out: &mut *branch, stride: width, bias: &weights.fc2_bias };
            let left = Left::rows(&scratch.activated, hidden);
            multiply(cpu, outputs, left, &weights.matrices.fc2, &mut sink);
            cpu.run(ScaleGradient { d_out: d_branch, branch, sums });
        }
        let d_rows = sized(&mut scratch.d_rows, d_out.len());
        cpu.run(ScaleRows { out: d_rows, rows: d_branch, scale: params.tensors[BlockTensor::Scale2] });
        sum_rows(cpu, d_rows, width, &mut result.grads[BlockTensor::Fc2Bias]);
        if wanted[BlockTensor::Fc2Weight] {
            let input = scratch.activated[..hidden_len].to_vec();
            result.products[BlockTensor::Fc2Weight].push(Products { d_out: d_rows.to_vec(), input });
        }

        let before_hidden = self.weights.attention.is_some() || wanted.any(&BEFORE_HIDDEN);
        if !(before_hidden || wanted.any(&[BlockTensor::Fc1Weight, BlockTensor::Fc1Bias])) {
            return;
        }
        let mut sink = GeluBackward {
            out: sized(&mut scratch.d_hidden, hidden_len),
            hidden: view.hidden,
            stride: hidden,
            row_sums: result.grads[BlockTensor::Fc1Bias].as_deref_mut().unwrap_or_default(),
        };
        multiply(cpu, outputs, Left::rows(d_rows, width), &self.weights.fc2, &mut sink);
        let d_hidden = &scratch.d_hidden[..hidden_len];
        if wanted[BlockTensor::Fc1Weight] {
            let input = normed(cpu, params.norm2(), dims.eps, view.middle);
            result.products[BlockTensor::Fc1Weight].push(Products { d_out: d_hidden.to_vec(), input });
        }
        if !before_hidden {
            return;
        }
        let d_normed = sized(&mut scratch.d_normed, d_out.len());
        let mut sink = Store::new(&mut *d_normed, width);
        multiply(cpu, outputs, Left::rows(d_hidden, hidden), &self.weights.fc1, &mut sink);
        cpu.run(NormBackward {
            params: params.norm2(),
            eps: dims.eps,
            x: view.middle,
            d_out: d_normed,
            grads: result.grads.norm([BlockTensor::Norm2Weight, BlockTensor::Norm2Bias]),
            d_x: d_middle,
        });
    }

    /// The attention branch: from the gradient of the residual stream after it to the input's and the prompts'.
    #[expect(clippy::too_many_arguments, reason = "gradients in, gradients out")]
    fn attention(
        &self,
        i: usize,
        x: &[f32],
        view: &ImageView<'_, E>,
        d_middle: &[f32],
        scratch: &mut BackwardImageScratch<E>,
        d_x: Option<&mut [f32]>,
        d_prompts: Option<&mut [f32]>,
        result: &mut ImageResult<E>,
    ) {
        let Forward { cpu, dims, params, ref weights, .. } = self.forward;
        let (outputs, width) = (dims.outputs, dims.width);
        let wanted = self.wanted;

        if let Some(sums) = &mut result.grads[BlockTensor::Scale1] {
            let branch = sized(&mut scratch.branch, d_middle.len());
            let mut sink = Bias { out: &mut *branch, stride: width, bias: &weights.proj_bias };
            let left = Left::rows(view.attention, width);
            multiply(cpu, outputs, left, &weights.matrices.proj, &mut sink);
            cpu.run(ScaleGradient { d_out: d_middle, branch, sums });
        }
        let d_rows = sized(&mut scratch.d_rows, d_middle.len());
        cpu.run(ScaleRows { out: d_rows, rows: d_middle, scale: params.tensors[BlockTensor::Scale1] });
        sum_rows(cpu, d_rows, width, &mut result.grads[BlockTensor::ProjBias]);
        if wanted[BlockTensor::ProjWeight] {
            result.products[BlockTensor::ProjWeight]
                .push(Products { d_out: d_rows.to_vec(), input: view.attention.to_vec() });
        }
        let Some(attention) = &self.weights.attention else {
            return;
        };
        let d_attention = sized(&mut scratch.d_attention, d_middle.len());
        let mut sink = Store::new(&mut *d_attention, width);
        multiply(cpu, outputs, Left::rows(d_rows, width), &attention.proj, &mut sink);
        let d_qkv = sized(&mut scratch.d_qkv, 3 * x.len());
        let mut d_prompt_kv = vec![E::default(); dims.prompts * 2 * width];
        let shared_kv = self.saved.map_or(&self.forward.shared_kv, |saved| &saved.shared_kv);
        let prompt_kv = match params.prompts() {
            Some(Prompts::PerImage(_)) => view.prompt_kv,
            _ => shared_kv,
        };
        let heads = Heads::new(dims, view.qkv, prompt_kv);
        attention_backward(cpu, &heads, view.log_sums, d_attention, &mut scratch.heads, d_qkv, &mut d_prompt_kv);
        sum_rows(cpu, d_qkv, 3 * width, &mut result.grads[BlockTensor::QkvBias]);
        if wanted[BlockTensor::QkvWeight] {
            let input = normed(cpu, params.norm1(), dims.eps, x);
            result.products[BlockTensor::QkvWeight].push(Products { d_out: d_qkv.to_vec(), input });
        }
        if let Some(Prompts::PerImage(prompts)) = params.prompts() {
            let prompts = part(prompts, dims.batch, i);
            let (grads, products) = (&mut result.grads, &mut result.products[BlockTensor::QkvWeight]);
            self.prompts(prompts, &d_prompt_kv, d_prompts, grads, products);
        } else {
            result.d_prompt_kv = d_prompt_kv;
        }
        if d_x.is_none() && !wanted.any(&NORM1) {
            return;
        }
        let d_x = match d_x {
            Some(d_x) => d_x,
            None => sized(&mut scratch.branch, x.len()),
        };
        let (rows, rest) = d_x.split_at_mut(d_middle.len());
        rows.copy_from_slice(d_middle);
        rest.fill(0.0);
        let d_normed = sized(&mut scratch.d_normed, x.len());
        let left = Left::rows(&d_qkv[width..], 3 * width);
        multiply(cpu, dims.tokens, left, &attention.kv, &mut Store::new(&mut *d_normed, width));
        let left = Left::rows(d_qkv, 3 * width);
        multiply(cpu, outputs, left, &attention.q, &mut Add::new(&mut *d_normed, width));
        cpu.run(NormBackward {
            params: params.norm1(),
            eps: dims.eps,
            x,
            d_out: d_normed,
            grads: result.grads.norm(NORM1),
            d_x,
        });
    }

    /// Prompts' share: from the gradients of their keys and values to theirs and those of the layers before.
    pub(crate) fn prompts(
        &self,
        prompts: &[f32],
        d_kv: &[E],
        d_prompts: Option<&mut [f32]>,
        grads: &mut BlockGrads,
        products: &mut Vec<Products<E>>,
    ) {
        let Forward { cpu, dims, params, .. } = self.forward;
        let width = dims.width;
        if let Some(bias) = &mut grads[BlockTensor::QkvBias] {
            cpu.run(SumRows { rows: d_kv, stride: 2 * width, sums: &mut bias[width..] });
        }
        if self.wanted[BlockTensor::QkvWeight] {
            let mut d_out = vec![E::default(); dims.prompts * 3 * width];
            let rows = d_out.chunks_exact_mut(3 * width).zip(d_kv.chunks_exact(2 * width));
            for (row, d_kv) in rows {
                row[width..].copy_from_slice(d_kv);
            }
            let input = normed(cpu, params.norm1(), dims.eps, prompts);
            products.push(Products { d_out, input });
        }
        let Some(AttentionBackwardWeights { kv, .. }) = &self.weights.attention else {
            return;
        };
        if d_prompts.is_none() && !self.wanted.any(&NORM1) {
            return;
        }
        let mut unused = Buffer::new();
        let d_prompts = match d_prompts {
            Some(d_prompts) => d_prompts,
            None => sized(&mut unused, prompts.len()),
        };
        let mut d_normed = vec![0.0; prompts.len()];
        let mut sink = Store::new(&mut d_normed, width);
        multiply(cpu, dims.prompts, Left::rows(d_kv, 2 * width), kv, &mut sink);
        cpu.run(NormBackward {
            params: params.norm1(),
            eps: dims.eps,
            x: prompts,
            d_out: &d_normed,
            grads: grads.norm(NORM1),
            d_x: d_prompts,
        });
    }
}

/// A LayerNorm's output once more.
fn normed<E: Element>(cpu: Cpu, params: LayerNormParams<'_>, eps: f32, x: &[f32]) -> Vec<E> {
    let mut out = vec![E::default(); x.len()];
    cpu.run(NormForward { params, eps, x, out: &mut out });
    out
}

/// Adds the sum of rows to a bias gradient, if it is wanted.
fn sum_rows<E: Element>(cpu: Cpu, rows: &[E], width: usize, sums: &mut Option<Vec<f32>>) {
    if let Some(sums) = sums {
        cpu.run(SumRows { rows, stride: width, sums });
    }
}
