//! Reading and writing parameters as safetensors.

mod backbone_source;
mod file;
mod infer;
mod layout;
mod save;

pub use backbone_source::BackboneSource;
pub use file::{ValuesAndShape, WeightFile};
pub use infer::infer_config;
pub use layout::{Layout, Names};
pub use save::{TensorMap, read_tensors, write_atomically, write_safetensors, write_safetensors_f16};
