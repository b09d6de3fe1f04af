//! The vision transformer, top-down; field names mirror timm's parameter names.

mod activation;
pub mod adapter;
mod attention;
mod attention_pool;
mod block;
pub mod config;
mod layer_norm;
mod linear;
pub mod lora;
mod mlp;
mod patch_embed;
mod pos_embed;
mod rotary;
mod scale_shift;
mod transformer;

pub use activation::Activation;
pub use attention::Attention;
pub use attention_pool::AttentionPool;
pub use block::{Block, LayerScale};
pub use layer_norm::LayerNorm;
pub use linear::{BiasOffset, Linear};
pub use mlp::Mlp;
pub use patch_embed::{PatchEmbed, PatchProjection};
pub use pos_embed::resample_position_embedding;
pub use rotary::Rotary;
pub use scale_shift::ScaleShift;
pub use transformer::{Pooling, VisionTransformer};
