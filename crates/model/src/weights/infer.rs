//! Working out an architecture from the shapes in a checkpoint.

use std::collections::BTreeMap;

use crate::error::ModelError;
use crate::vit::config::VitConfig;

/// The architecture that a timm checkpoint's tensor shapes describe.
///
/// Shapes do not tell the number of heads; every plain ViT that timm publishes uses heads 64 wide, and so does this.
///
/// # Errors
/// [`ModelError::Config`] if the tensors are not those of a ViT.
pub fn infer_config(shapes: &BTreeMap<String, Vec<usize>>) -> Result<VitConfig, ModelError> {
    let missing = |name: &str| ModelError::Config {
        message: format!("no tensor {name} of the expected rank: this is not a ViT in timm naming"),
    };
    let shape = |name: &str| shapes.get(name).map(Vec::as_slice);
    let Some([width, 3, patch, _]) = shape("patch_embed.proj.weight") else {
        return Err(missing("patch_embed.proj.weight"));
    };
    let Some([1, positions, _]) = shape("pos_embed") else { return Err(missing("pos_embed")) };
    let Some([hidden, _]) = shape("blocks.0.mlp.fc1.weight") else {
        return Err(missing("blocks.0.mlp.fc1.weight"));
    };
    let distilled = shape("dist_token").is_some();
    let depth = (0..).take_while(|i| shape(&format!("blocks.{i}.norm1.weight")).is_some()).count();
    let special = 1 + usize::from(distilled);
    let grid = positions.saturating_sub(special).isqrt();
    let heads = if width.is_multiple_of(64) { width / 64 } else { 1 };
    let config = VitConfig {
        mlp_hidden: *hidden,
        qkv_bias: shape("blocks.0.attn.qkv.bias").is_some(),
        distilled,
        layer_scale: shape("blocks.0.ls1.gamma").is_some(),
        ..VitConfig::new(grid * patch, *patch, *width, depth, heads)
    };
    config.validate()?;
    Ok(config)
}
