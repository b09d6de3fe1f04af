//! What prompts look at.

use burn::module::Module;
use burn::tensor::Tensor;

use super::embed;
use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::parameters::to_vec;

/// The share of its attention that each prompt gives to each patch, in the last block with prompts: one list of
/// `grid * grid` a prompt, mean over heads; none without prompts.
///
/// A prompt's own output is dropped after its block, so this is not part of how an embedding comes about; it shows what a
/// prompt has become sensitive to. The shares of a prompt do not sum to one: what it gives to other prompts and to special
/// tokens is left out.
///
/// # Shapes
/// `image` `[3, image_size, image_size]`, preprocessed
///
/// # Errors
/// [`ModelError::Input`] if the image has another size.
pub fn prompt_attention(encoder: &Encoder, image: &[f32]) -> Result<Vec<Vec<f32>>, ModelError> {
    let encoder = encoder.valid();
    let vit = &encoder.backbone;
    let (special, grid) = (vit.config.special_tokens(), vit.config.grid());
    let mut tokens = embed(&encoder, image)?;
    let prompts = encoder.block_prompts();
    let Some(last) = prompts.iter().rposition(Option::is_some) else { return Ok(Vec::new()) };
    for (block, prompts) in vit.blocks.iter().zip(&prompts).take(last) {
        let outputs = tokens.dims()[1];
        tokens = block.forward(tokens, prompts.clone(), outputs, vit.compute);
    }
    let (Some(block), Some(Some(rows))) = (vit.blocks.get(last), prompts.get(last)) else { return Ok(Vec::new()) };
    let rows = rows.clone().for_batch(1);
    let count = rows.dims()[1];
    let normed = block.norm1.forward(Tensor::cat(vec![rows, tokens], 1));
    let (weights, _) = block.attn.weights_and_values(normed, count); // [1, H, P + N, P + N]
    let shares = weights.narrow(2, 0, count).narrow(3, count + special, grid * grid).mean_dim(1);
    let values = to_vec(shares);
    Ok(values.chunks_exact(grid * grid).map(<[f32]>::to_vec).collect())
}
