//! Why two images are similar: where the model looks, and which patch of one image speaks for which of the other.
//!
//! The pooled token is followed through the composed transformer once more, written as a sum: one summand for what was
//! read from each patch, one for what was there without the image. With every attention weight, every LayerNorm's
//! deviation and every activation's gate held at the value it has for this image, each step is affine, so the sum is
//! kept exactly to the end:
//!
//! ```text
//! e = sum_i c_i + r          |e| = 1: the embedding; c_i from patch i, r from class token, prompts and biases
//! cos(a, b) = e_a . e_b = sum_ij c_i . c_j + sum_i c_i . r_b + sum_j r_a . c_j + r_a . r_b
//! ```
//!
//! For a class token, c_i is what it read at position i in each block (`a_i W_o W_v (norm1(x_i) - b)`, a_i its attention)
//! carried through the later blocks; for mean pooling, c_i is the patch's own final token. `c_i . c_j` is then the part
//! of the similarity that patch i of one image and patch j of the other have together ([`Evidence::patches`]).
//!
//! Sources: Ali et al., "XAI for Transformers: Better Explanations through Conservative Propagation" (2022) for holding
//! gates and deviations; Eberle et al., "Building and Interpreting Deep Similarity Models" (BiLRP, 2020) for pairs of
//! parts; Gandelsman et al., "Interpreting CLIP's Image Representation via Text-Based Decomposition" (2024) for the
//! class token as a sum over positions. Differs from the sources: attention and gates are held while relevance is the
//! value itself, not a gradient, so that nothing is lost. What a patch token holds is counted as coming from its
//! position, though earlier blocks mixed other patches into it.
//!
//! It does not say what would happen if a patch were painted over: that changes attention and gates too.

mod attention;
mod evidence;
mod prompts;
mod summands;
mod trace;

use burn::tensor::{Tensor, TensorData};

use crate::encoder::Encoder;
use crate::error::ModelError;

pub use attention::AttentionMap;
pub use evidence::Evidence;
pub use prompts::prompt_attention;
pub use trace::{RestPart, Trace, trace};

/// How much the pooled token of `image` reads from each patch in the last block.
///
/// # Shapes
/// `image` `[3, image_size, image_size]`, preprocessed
///
/// # Errors
/// Those of [`trace`].
pub fn attention(encoder: &Encoder, image: &[f32]) -> Result<AttentionMap, ModelError> {
    Ok(trace(encoder, image)?.into_last_attention())
}

/// Which patches of `a` and `b` make the two similar.
///
/// Explaining one image against many, take [`trace`] once for each and [`Trace::evidence`] for each pair.
///
/// # Shapes
/// `a` and `b` `[3, image_size, image_size]`, preprocessed
///
/// # Errors
/// Those of [`trace`].
pub fn evidence(encoder: &Encoder, a: &[f32], b: &[f32]) -> Result<Evidence, ModelError> {
    Ok(trace(encoder, a)?.evidence(&trace(encoder, b)?))
}

/// The tokens of one image before the first block, `[1, N, D]`; fails if `image` has another size.
fn embed(encoder: &Encoder, image: &[f32]) -> Result<Tensor<3>, ModelError> {
    let side = encoder.backbone.config.image_size;
    if image.len() != 3 * side * side {
        return Err(ModelError::Input {
            expected: format!("[3, {side}, {side}]"),
            found: format!("{} values", image.len()),
        });
    }
    let device = encoder.backbone.norm.weight.val().device().without_autodiff();
    Ok(encoder.embed_tokens(Tensor::from_data(TensorData::new(image.to_vec(), [1, 3, side, side]), &device)))
}
