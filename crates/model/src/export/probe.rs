//! Something to hold another runtime against: a few random images and what Kinsight makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::parameters::normal_values;
use crate::weights::{TensorMap, write_safetensors};

/// Images in a probe.
const IMAGES: usize = 4;

/// Writes `images` `[4, 3, S, S]` (standard normal, as prepared images about are), `pooled` `[4, D]` and `embeddings`
/// `[4, E]` of `encoder` to `path`.
///
/// # Errors
/// [`ModelError::Io`]; an existing file is untouched then.
pub fn write_probe(path: &Path, encoder: &Encoder, device: &Device) -> Result<(), ModelError> {
    let side = encoder.backbone.config.image_size;
    let shape = [IMAGES, 3, side, side];
    let images = normal_values(&mut ChaCha8Rng::seed_from_u64(0), shape.iter().product(), 1.0);
    let images = TensorData::new(images, shape);
    let input = Tensor::<4>::from_data(images.clone(), &device.clone().without_autodiff());
    let (tokens, appended) = encoder.append_shallow_prompts(encoder.embed_tokens(input.clone()));
    let pooled = encoder.backbone.features(tokens, appended, encoder.block_prompts(), encoder.pooling);
    let tensors = TensorMap::from([
        ("images".to_string(), images),
        ("pooled".to_string(), pooled.into_data()),
        ("embeddings".to_string(), encoder.forward(input).into_data()),
    ]);
    write_safetensors(path, &tensors, BTreeMap::new())
}
