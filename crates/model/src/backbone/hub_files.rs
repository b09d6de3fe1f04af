//! The JSON files that come with weights on the Hugging Face hub: `config.json` and `preprocessor_config.json`.
//!
//! Tensor shapes tell most of an architecture; what they do not tell is read from here, and what both tell must agree.
//! timm writes one `config.json` with both the architecture's name and the preprocessing.

use std::path::{Path, PathBuf};

use kinsight_data::{Interpolation, Preprocess};
use serde_json::Value;

use crate::error::ModelError;
use crate::vit::config::VitConfig;
use crate::vit::{Activation, Pooling};

/// What these files say.
#[derive(Debug, Default)]
pub struct HubFiles {
    config: Option<(PathBuf, Value)>,
    preprocessor: Option<(PathBuf, Value)>,
}

impl HubFiles {
    /// Reads what lies in the folder of `weights`.
    ///
    /// # Errors
    /// [`ModelError::HubFile`] if a file is there and is not JSON.
    pub fn beside(weights: &Path) -> Result<Self, ModelError> {
        let folder = weights.parent().unwrap_or(Path::new(""));
        Ok(Self { config: read(folder, "config.json")?, preprocessor: read(folder, "preprocessor_config.json")? })
    }

    /// Puts what `config.json` says over an architecture read off tensor shapes.
    ///
    /// # Errors
    /// [`ModelError::HubFile`] if it contradicts the tensors or asks for something that is not known here.
    pub fn apply(&self, mut config: VitConfig) -> Result<VitConfig, ModelError> {
        let Some((path, json)) = &self.config else { return Ok(config) };
        let fail = |reason: String| ModelError::HubFile { path: path.clone(), reason };
        if let Some(architecture) = json["architecture"].as_str() {
            let tag = json["pretrained_cfg"]["tag"].as_str().unwrap_or_default();
            config.activation = timm_activation(architecture, tag, config.activation);
            return Ok(config);
        }
        let json = if json["vision_config"].is_object() { &json["vision_config"] } else { json };
        let number = |key: &str| json[key].as_u64().map(|n| n as usize);
        let told_by_shapes = [
            ("hidden_size", config.width),
            ("num_hidden_layers", config.depth),
            ("patch_size", config.patch_size),
            ("num_register_tokens", config.registers),
        ];
        for (key, found) in told_by_shapes {
            if let Some(expected) = number(key).filter(|expected| *expected != found) {
                return Err(fail(format!("says {key} {expected}, the tensors say {found}")));
            }
        }
        if let Some(heads) = number("num_attention_heads") {
            config.heads = heads;
        }
        if let Some(eps) = json["layer_norm_eps"].as_f64() {
            config.layer_norm_eps = eps;
        }
        if config.rotary_theta.is_some() {
            let theta = json["rope_theta"].as_f64().or_else(|| json["rope_parameters"]["rope_theta"].as_f64());
            config.rotary_theta = theta.or(config.rotary_theta);
            if let Some(size) = number("image_size") {
                config.image_size = size / config.patch_size * config.patch_size;
            }
        }
        config.activation = match json["hidden_act"].as_str() {
            None => config.activation,
            Some("gelu") => Activation::Gelu,
            Some("quick_gelu") => Activation::QuickGelu,
            Some("gelu_pytorch_tanh" | "gelu_new") => Activation::GeluTanh,
            // The gate's non-linearity is SiLU anyway.
            Some("silu") if config.gated_mlp => Activation::Gelu,
            Some(other) => {
                return Err(fail(format!("hidden_act is {other}, expected gelu, quick_gelu or gelu_pytorch_tanh")));
            }
        };
        config.validate()?;
        Ok(config)
    }

    /// The preprocessing that `preprocessor_config.json` or timm's `config.json` states, if they state one.
    pub fn preprocess(&self) -> Option<Preprocess> {
        let timm = || timm_preprocess(&self.config.as_ref()?.1["pretrained_cfg"]);
        let transformers = || transformers_preprocess(&self.preprocessor.as_ref()?.1);
        transformers().or_else(timm).filter(|preprocess| preprocess.validate().is_ok())
    }

    /// The pooling that timm's `config.json` states.
    pub fn pooling(&self) -> Option<Pooling> {
        match self.config.as_ref()?.1["global_pool"].as_str()? {
            "token" => Some(Pooling::Class),
            "avg" => Some(Pooling::Avg),
            "map" => Some(Pooling::Map),
            _ => None,
        }
    }
}

/// The non-linearity that timm gives an architecture of this name; weights published under these tags were trained with
/// quick GELU, whatever the name says.
pub fn timm_activation(architecture: &str, tag: &str, otherwise: Activation) -> Activation {
    let trained_quick =
        ["openai", "metaclip", "dfn"].iter().any(|start| tag.starts_with(start)) && !tag.contains("_ft_");
    if architecture.contains("quickgelu") || (architecture.contains("clip") && trained_quick) {
        Activation::QuickGelu
    } else {
        otherwise
    }
}

fn read(folder: &Path, name: &str) -> Result<Option<(PathBuf, Value)>, ModelError> {
    let path = folder.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Io { action: "read", path, source }),
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some((path, value))),
        Err(error) => Err(ModelError::HubFile { path, reason: error.to_string() }),
    }
}

fn three(value: &Value) -> Option<[f32; 3]> {
    let numbers: Vec<f32> = value.as_array()?.iter().filter_map(Value::as_f64).map(|v| v as f32).collect();
    numbers.try_into().ok()
}

fn timm_preprocess(json: &Value) -> Option<Preprocess> {
    let size = json["input_size"].as_array()?.last()?.as_u64()? as u32;
    let preprocess = Preprocess {
        mean: three(&json["mean"])?,
        std: three(&json["std"])?,
        input_size_px: size,
        resize_size_px: size,
        interpolation: match json["interpolation"].as_str() {
            Some("bilinear") => Interpolation::Bilinear,
            _ => Interpolation::Bicubic,
        },
    };
    preprocess.with_crop_fraction(json["crop_pct"].as_f64().unwrap_or(0.875)).ok()
}

fn transformers_preprocess(json: &Value) -> Option<Preprocess> {
    // `224`, `{"height": 224, "width": 224}` or `{"shortest_edge": 224}`
    let side = |value: &Value| {
        let side = value.as_u64().or_else(|| value["height"].as_u64()).or_else(|| value["shortest_edge"].as_u64());
        side.and_then(|side| u32::try_from(side).ok())
    };
    let resize = side(&json["size"])?;
    let crop = side(&json["crop_size"]).filter(|_| json["do_center_crop"].as_bool() != Some(false));
    let without = json["do_normalize"].as_bool() == Some(false);
    let (mean, std) = match without {
        true => ([0.0; 3], [1.0; 3]),
        false => (three(&json["image_mean"])?, three(&json["image_std"])?),
    };
    Some(Preprocess {
        mean,
        std,
        input_size_px: crop.unwrap_or(resize),
        resize_size_px: resize,
        // PIL's numbers: 2 bilinear, 3 bicubic.
        interpolation: match json["resample"].as_u64() {
            Some(3) => Interpolation::Bicubic,
            _ => Interpolation::Bilinear,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn preprocessing_of_transformers_and_timm_is_read() {
        let clip = json!({
            "crop_size": 224, "do_center_crop": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4],
            "image_std": [0.26, 0.26, 0.27], "resample": 3, "size": {"shortest_edge": 256}
        });
        let found = transformers_preprocess(&clip).unwrap();
        assert_eq!((found.input_size_px, found.resize_size_px), (224, 256));
        assert_eq!(found.interpolation, Interpolation::Bicubic);
        let vit = json!({"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2,
            "size": {"height": 224, "width": 224}});
        assert_eq!(transformers_preprocess(&vit).unwrap().resize_size_px, 224);
        let timm = json!({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": [3, 224, 224], "crop_pct": 0.9,
            "interpolation": "bicubic"});
        assert_eq!(timm_preprocess(&timm).unwrap().resize_size_px, 248);
        assert!(transformers_preprocess(&json!({"size": "large"})).is_none());
        assert!(timm_preprocess(&json!(null)).is_none());
    }

    #[test]
    fn a_config_that_contradicts_the_tensors_is_refused() {
        let config = VitConfig::new(32, 8, 48, 2, 3);
        let says =
            |json| HubFiles { config: Some(("config.json".into(), json)), preprocessor: None }.apply(config.clone());
        let message = says(json!({"hidden_size": 64})).unwrap_err().to_string();
        assert!(message.contains("hidden_size 64") && message.contains("48"), "{message}");
        assert!(says(json!({"hidden_act": "relu"})).is_err());
        assert!(says(json!({"num_attention_heads": 5})).is_err());
        let found = says(json!({"vision_config": {"num_attention_heads": 4, "hidden_act": "quick_gelu"}})).unwrap();
        assert_eq!((found.heads, found.activation), (4, Activation::QuickGelu));
    }

    #[test]
    fn published_clips_keep_their_non_linearity() {
        let of = |name, tag| timm_activation(name, tag, Activation::Gelu);
        assert_eq!(of("vit_base_patch16_clip_224", "openai"), Activation::QuickGelu);
        assert_eq!(of("vit_base_patch16_clip_224", "openai_ft_in1k"), Activation::Gelu);
        assert_eq!(of("vit_base_patch16_clip_224", "laion2b"), Activation::Gelu);
        assert_eq!(of("vit_base_patch16_clip_quickgelu_224", ""), Activation::QuickGelu);
    }
}
