//! A fine-tuned encoder as files that other programs run: plain weights under the names of timm or transformers, or an
//! ONNX graph with prompts, adapters and head inside.
//!
//! Plain weights can only hold what is a backbone again, so a fine-tuning is folded into its weights first
//! ([`folded_backbone`]), and the embedding head goes into a separate file: neither library's models end in a
//! LayerNorm and a projection behind the pooled token.

mod fold;
mod hf;
mod onnx;
mod probe;
mod timm;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;

use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::parameters::named_tensors;
use crate::weights::{TensorMap, write_safetensors};

pub use fold::folded_backbone;
pub use hf::write_hf;
pub use onnx::write_onnx;
pub use probe::write_probe;
pub use timm::write_timm;

/// Writes the embedding head of `encoder` (`norm.weight`, `norm.bias`, `projection.weight`, `projection.bias`) to
/// `path`; false if there is none.
///
/// # Errors
/// [`ModelError::Io`]; an existing file is untouched then.
pub fn write_head(path: &Path, encoder: &Encoder) -> Result<bool, ModelError> {
    let Some(head) = &encoder.head else { return Ok(false) };
    write_safetensors(path, &named_tensors(head), BTreeMap::new())?;
    Ok(true)
}

fn export_error(message: impl Into<String>, hint: impl Into<String>) -> ModelError {
    ModelError::Export { message: message.into(), hint: hint.into() }
}

/// The values of `name`, which must be there.
fn taken(tensors: &mut TensorMap, name: &str) -> Result<(Vec<f32>, Vec<usize>), ModelError> {
    let data = tensors.remove(name).ok_or_else(|| export_error(format!("the model has no tensor {name}"), ""))?;
    let shape = data.shape().to_vec();
    Ok((data.iter::<f32>().collect(), shape))
}

fn put(tensors: &mut TensorMap, name: &str, values: Vec<f32>, shape: impl Into<Vec<usize>>) {
    tensors.insert(name.to_string(), TensorData::new(values, shape.into()));
}
