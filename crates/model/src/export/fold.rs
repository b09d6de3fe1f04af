//! Folding a fine-tuning into the weights of its backbone: the one place where every method says whether it can be
//! written as other weights of the same architecture, and how.

use super::export_error;
use crate::attach::fold;
use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::tuning::Tuning;
use crate::vit::VisionTransformer;

/// What to do about a fine-tuning that does not fold.
const HINT: &str =
    "use --format onnx, which keeps every part, or train with a method that can be folded, such as bitfit or full";

/// The backbone of `encoder` with everything that `tuning` did in its own weights.
///
/// # Errors
/// [`ModelError::Export`] names the part that has no place in a plain backbone.
pub fn folded_backbone(encoder: &Encoder, tuning: &Tuning) -> Result<VisionTransformer, ModelError> {
    // Every field is named, so that a new method does not compile before it says here how it folds.
    let Tuning {
        full: _,
        bitfit: _,
        bitfit_parts: _,
        layer_norm: _,
        last_blocks: _,
        first_trained_block: _,
        prompts,
        shallow_prompts: _,
        adapter,
        lora: _,
        ssf: _,
        pooling: _,
        embedding: _,
    } = tuning;
    // `full`, `bitfit`, `layer_norm` and `last_blocks` change the backbone's own weights; LoRA, SSF and offsets of single
    // biases fold into them.
    if prompts.is_some() {
        return Err(export_error("visual prompts are tokens and cannot be folded into a backbone's weights", HINT));
    }
    if adapter.is_some() {
        return Err(export_error(
            "adapters are additional layers and cannot be folded into a backbone's weights",
            HINT,
        ));
    }
    Ok(fold(&encoder.backbone))
}
