//! Reading and writing parameters as safetensors.

mod file;
mod infer;
mod save;

pub use file::{BackboneSource, ValuesAndShape, WeightFile};
pub use infer::infer_config;
pub use save::{TensorMap, read_tensors, write_atomically, write_safetensors, write_safetensors_f16};
