//! The vision transformer, top-down; field names mirror timm's parameter names.

pub mod adapter;
mod attention;
mod block;
pub mod config;
mod layer_norm;
mod linear;
mod mlp;
mod patch_embed;
mod pos_embed;
mod transformer;

pub use attention::Attention;
pub use block::{Block, LayerScale};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use patch_embed::{PatchEmbed, PatchProjection};
pub use pos_embed::resample_position_embedding;
pub use transformer::{Pooling, VisionTransformer};
