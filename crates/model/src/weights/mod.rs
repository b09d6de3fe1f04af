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
pub use save::{
    TensorMap, TensorSlice, read_tensors, tensor_slices, write_safetensors, write_safetensors_f16, write_tensor_slices,
};
