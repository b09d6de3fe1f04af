//! Working out an architecture from the shapes in a checkpoint.

use std::collections::BTreeMap;

use super::layout::Names;
use crate::error::ModelError;
use crate::vit::config::VitConfig;

/// The architecture that a checkpoint's tensor shapes describe, whatever its layout.
///
/// Shapes do not tell the number of heads (64 wide, but for the widths of `heads_of_width`), the epsilon of LayerNorm
/// and the non-linearity (as the layout's family has them), nor the image size of a model with rotary positions (224).
/// A `config.json` or the registry overrules all of these.
///
/// # Errors
/// [`ModelError::Config`] if the tensors are not those of a ViT.
pub fn infer_config(shapes: &BTreeMap<String, Vec<usize>>) -> Result<VitConfig, ModelError> {
    let names = Names::of(shapes.keys());
    let shape = |name: &str| names.in_file(name).and_then(|name| shapes.get(name)).map(Vec::as_slice);
    let has = |name: &str| shape(name).is_some();
    let missing = |name: &str| ModelError::Config {
        message: format!(
            "no tensor {name} of the expected rank: this is not a ViT in the naming of timm or transformers"
        ),
    };
    let Some([width, 3, patch, _]) = shape("patch_embed.proj.weight") else {
        return Err(missing("patch_embed.proj.weight"));
    };
    let Some([_, hidden]) = shape("blocks.0.mlp.fc2.weight") else {
        return Err(missing("blocks.0.mlp.fc2.weight"));
    };
    let depth = (0..).take_while(|i| has(&format!("blocks.{i}.norm1.weight"))).count();
    let (class_token, distilled, norm_pre) = (has("cls_token"), has("dist_token"), has("norm_pre.weight"));
    let registers = shape("reg_token").and_then(|shape| shape.iter().rev().nth(1).copied()).unwrap_or_default();
    let layer_scale = has("blocks.0.ls1.gamma");
    let named = usize::from(class_token) + usize::from(distilled);
    let (grid, class_position, rotary_theta) = match shape("pos_embed") {
        Some([.., rows, _]) => {
            // A grid is square, so the remainder tells whose positions there are.
            let patches_alone = rows.isqrt().pow(2) == *rows;
            let patches = if patches_alone { *rows } else { rows.saturating_sub(named) };
            (patches.isqrt(), !patches_alone, None)
        }
        // Of the known families only DINOv3 has no position embedding.
        None if layer_scale && class_token => (224 / *patch.max(&1), true, Some(100.0)),
        _ => return Err(missing("pos_embed")),
    };
    let gated_mlp = has("blocks.0.mlp.gate.weight")
        || shape("blocks.0.mlp.fc1.weight").is_some_and(|fc1| fc1.first() == Some(&(2 * hidden)));
    let (layer_norm_eps, activation) = names.layout.conventions(norm_pre, rotary_theta.is_some());
    let heads = if rotary_theta.is_some() { (width / 64).max(1) } else { heads_of_width(*width) };
    let config = VitConfig {
        mlp_hidden: *hidden,
        qkv_bias: has("blocks.0.attn.qkv.bias") || has("blocks.0.attn.q.bias"),
        distilled,
        layer_scale,
        layer_norm_eps,
        class_token,
        class_position,
        registers,
        rotary_theta,
        norm_pre,
        patch_bias: has("patch_embed.proj.bias"),
        activation,
        gated_mlp,
        attention_pool: has("attn_pool.latent"),
        ..VitConfig::new(grid * patch, *patch, *width, depth, heads)
    };
    config.validate()?;
    Ok(config)
}

/// Heads are 64 wide in nearly all published ViTs; these widths are the exceptions (SoViT-400m, ViT-H, ViT-g, ViT-bigG).
fn heads_of_width(width: usize) -> usize {
    match width {
        1152 | 1280 | 1408 | 1664 => 16,
        _ if width.is_multiple_of(64) => width / 64,
        _ => 1,
    }
}
