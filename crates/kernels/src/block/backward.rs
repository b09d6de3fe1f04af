//! The block's backward: the public function, and what is summed over images.

use rayon::prelude::*;

use super::forward::Forward;
use super::grads::{BlockGrads, Wanted};
use super::image_backward::{BackwardImageScratch, ImageBackward, ImageProducts, ImageResult};
use super::params::{BlockDims, BlockParams, Prompts};
use super::saved::{Activations, Saved, State, part, split};
use super::tensors::BlockTensor;
use super::weight_cache::Cached;
use super::weights::{BackwardWeights, Uses};
use crate::cpu::Cpu;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};
use crate::linear::add_products;
use crate::precision::Precision;
use crate::scratch::Pool;

/// Images whose results exist at a time: bounds the memory of products with weights, without touching the result.
const GROUP: usize = 8;

/// Gradients of a block: of the parameters that are `wanted`, and, in `d_x`, of the input, if anything upstream needs it.
///
/// `saved` is what [`block_forward_saving`](super::block_forward_saving) returned for the same parameters, input and
/// precision. `d_x` is overwritten.
///
/// # Shapes
/// `x` and `d_x` are `[batch, tokens, width]`, `d_out` is `[batch, outputs, width]`.
///
/// # Errors
/// [`KernelError`] if a slice does not fit the dimensions, a gradient is wanted of something absent, or `saved` is of
/// another precision, other dimensions, or lacks what a wanted gradient needs.
#[expect(clippy::too_many_arguments, reason = "sizes, parameters, two inputs, two outputs")]
pub fn block_backward(
    dims: &BlockDims,
    params: &BlockParams<'_>,
    precision: Precision,
    x: &[f32],
    saved: &Saved,
    d_out: &[f32],
    wanted: &Wanted,
    d_x: Option<&mut [f32]>,
) -> Result<BlockGrads, KernelError> {
    params.check(dims, x)?;
    wanted.check(params)?;
    check_length("block output gradient", dims.output_len(), d_out.len())?;
    if let Some(d_x) = &d_x {
        check_length("block input gradient", dims.input_len(), d_x.len())?;
    }
    match (&saved.0, precision) {
        (State::Nothing, Precision::F32) => run::<f32>(dims, params, x, None, d_out, wanted, d_x),
        (State::Nothing, Precision::Bf16) => run::<Bf16>(dims, params, x, None, d_out, wanted, d_x),
        (State::F32(saved), Precision::F32) => run(dims, params, x, Some(saved), d_out, wanted, d_x),
        (State::Bf16(saved), Precision::Bf16) => run(dims, params, x, Some(saved), d_out, wanted, d_x),
        _ => Err(KernelError::Mismatch {
            what: "saved activations",
            expected: "of the backward's precision",
            found: "of another precision",
        }),
    }
}

fn run<E: Cached>(
    dims: &BlockDims,
    params: &BlockParams<'_>,
    x: &[f32],
    saved: Option<&Activations<E>>,
    d_out: &[f32],
    wanted: &Wanted,
    d_x: Option<&mut [f32]>,
) -> Result<BlockGrads, KernelError> {
    if let Some(saved) = saved {
        saved.check(dims, params, wanted)?;
    }
    let cpu = Cpu::detect();
    let attention = d_x.is_some() || wanted.before_attention();
    let uses = match saved {
        None => Uses::ALL,
        Some(saved) => {
            let (proj, fc2) = (wanted[BlockTensor::Scale1], wanted[BlockTensor::Scale2]);
            Uses { forward: false, fc1: saved.hidden.is_empty(), proj, fc2 }
        }
    };
    let task = ImageBackward {
        forward: Forward::new(cpu, dims, params, uses),
        weights: BackwardWeights::new(cpu, dims, params, attention),
        wanted,
        saved,
    };
    let batch = dims.batch;
    let mut grads = BlockGrads::zeros(wanted, params);
    let mut d_prompts = grads[BlockTensor::Prompts].take();
    let mut shared_kv = match params.prompts() {
        Some(Prompts::Shared(_)) if attention => vec![0.0; dims.prompts * 2 * dims.width],
        _ => Vec::new(),
    };
    {
        let mut d_x: Vec<_> = match d_x {
            Some(d_x) => split(d_x, batch).map(Some).collect(),
            None => (0..batch).map(|_| None).collect(),
        };
        let mut d_image_prompts: Vec<_> = match (params.prompts(), &mut d_prompts) {
            (Some(Prompts::PerImage(_)), Some(d)) => split(d, batch).map(Some).collect(),
            _ => Vec::new(),
        };
        d_image_prompts.resize_with(batch, || None);
        let pool = Pool::new();
        let group = GROUP.max(rayon::current_num_threads());
        for first in (0..batch).step_by(group) {
            let end = batch.min(first + group);
            let results: Vec<ImageResult<E>> = d_x[first..end]
                .par_iter_mut()
                .zip(&mut d_image_prompts[first..end])
                .enumerate()
                .map(|(i, (d_x, d_prompts))| {
                    let i = first + i;
                    pool.with(
                        || BackwardImageScratch::new(&task.forward),
                        |scratch| {
                            let (x, d_out) = (part(x, batch, i), part(d_out, batch, i));
                            task.image(i, x, d_out, scratch, d_x.take(), d_prompts.take())
                        },
                    )
                })
                .collect();
            let mut products = ImageProducts::default();
            for result in results {
                grads.add_image(&result.grads);
                for (sum, d) in shared_kv.iter_mut().zip(&result.d_prompt_kv) {
                    *sum += d.to_f32();
                }
                for (tensor, parts) in BlockTensor::ALL.iter().zip(result.products.into_values()) {
                    products[*tensor].extend(parts);
                }
            }
            add_group_products(cpu, dims, params, &products, &mut grads);
        }
    }
    if let (Some(Prompts::Shared(prompts)), true) = (params.prompts(), attention) {
        let d_kv: Vec<E> = shared_kv.iter().map(|&d| E::from_f32(d)).collect();
        let mut products = ImageProducts::default();
        task.prompts(prompts, &d_kv, d_prompts.as_deref_mut(), &mut grads, &mut products[BlockTensor::QkvWeight]);
        add_group_products(cpu, dims, params, &products, &mut grads);
    }
    grads[BlockTensor::Prompts] = d_prompts;
    Ok(grads)
}

/// Adds a group's products with weights, tensor by tensor, image by image.
fn add_group_products<E: Element>(
    cpu: Cpu,
    dims: &BlockDims,
    params: &BlockParams<'_>,
    products: &ImageProducts<E>,
    grads: &mut BlockGrads,
) {
    let bottleneck = params.adapter().map_or(0, |adapter| adapter.bottleneck);
    for (tensor, parts) in products.iter().filter(|(_, parts)| !parts.is_empty()) {
        if let (&[output, input], Some(sum)) = (&tensor.shape(dims, bottleneck)[..], &mut grads[tensor]) {
            add_products(cpu, [input, output], parts, sum);
        }
    }
}
