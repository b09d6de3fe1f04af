//! A backbone under timm's names, as `timm.create_model(..).load_state_dict(..)` takes them.

use std::collections::BTreeMap;
use std::path::Path;

use kinsight_data::Preprocess;

use super::{export_error, put, taken};
use crate::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use crate::error::ModelError;
use crate::parameters::named_tensors;
use crate::vit::VisionTransformer;
use crate::vit::config::VitConfig;
use crate::weights::write_safetensors;

/// Writes `backbone` to `path` under timm's names; the metadata, which timm does not look at, says the rest to Kinsight.
///
/// # Errors
/// [`ModelError::Export`] if timm's `VisionTransformer` has no such architecture; [`ModelError::Io`].
pub fn write_timm(path: &Path, backbone: &VisionTransformer, preprocess: &Preprocess) -> Result<(), ModelError> {
    let mut config = backbone.config.clone();
    if config.rotary_theta.is_some() {
        return Err(export_error(
            "timm has rotary positions in another model class, whose layout cannot be written",
            "use --format hf or --format onnx",
        ));
    }
    let mut tensors = named_tensors(backbone);
    // With registers timm gives positions to patches alone; a class token's own position becomes part of the token.
    if config.registers > 0 && config.class_position {
        let (positions, shape) = taken(&mut tensors, "pos_embed")?;
        let (width, rows) = (config.width, config.named_tokens());
        for (row, name) in ["cls_token", "dist_token"].into_iter().take(rows).enumerate() {
            let (token, token_shape) = taken(&mut tensors, name)?;
            let position = &positions[row * width..(row + 1) * width];
            let sum = token.iter().zip(position).map(|(token, position)| token + position).collect();
            put(&mut tensors, name, sum, token_shape);
        }
        put(&mut tensors, "pos_embed", positions[rows * width..].to_vec(), [1, shape[1] - rows, width]);
        config = VitConfig { class_position: false, ..config };
    }
    let json = |text: serde_json::Result<String>| text.map_err(|error| export_error(error.to_string(), ""));
    let metadata = BTreeMap::from([
        ("format".to_string(), "pt".to_string()),
        (CONFIG_KEY.to_string(), json(serde_json::to_string(&config))?),
        (PREPROCESS_KEY.to_string(), json(serde_json::to_string(preprocess))?),
    ]);
    write_safetensors(path, &tensors, metadata)
}
