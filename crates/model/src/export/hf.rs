//! A backbone as a folder that transformers loads: `model.safetensors`, `config.json`, `preprocessor_config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use kinsight_data::{Interpolation, Preprocess};
use serde_json::{Value, json};

use super::{export_error, put, taken};
use crate::error::ModelError;
use crate::parameters::named_tensors;
use crate::vit::config::VitConfig;
use crate::vit::{Activation, VisionTransformer};
use crate::weights::{Layout, TensorMap, write_safetensors};

/// Writes `backbone` into `folder` in the layout of the transformers model that computes the same.
///
/// # Errors
/// [`ModelError::Export`] if no known one does; [`ModelError::Io`].
pub fn write_hf(folder: &Path, backbone: &VisionTransformer, preprocess: &Preprocess) -> Result<Layout, ModelError> {
    let config = &backbone.config;
    let layout = layout_for(config)?;
    let mut tensors = named_tensors(backbone);
    positions_of_special_tokens(&mut tensors, config, layout)?;
    queries_keys_values(&mut tensors, config, layout)?;
    attention_pooling(&mut tensors, config)?;
    let gate = layout == Layout::HfDinov3 && config.gated_mlp;
    if gate {
        for name in tensors.keys().filter(|name| name.contains(".mlp.fc1.")).cloned().collect::<Vec<_>>() {
            split_rows(&mut tensors, &name, &[".mlp.gate.", ".mlp.fc1."].map(|part| name.replace(".mlp.fc1.", part)))?;
        }
    }
    let mut theirs: TensorMap =
        tensors.into_iter().map(|(name, data)| (renamed(&name, config, layout), data)).collect();
    if matches!(layout, Layout::HfDinov2 | Layout::HfDinov3) {
        // A part of pretraining that the library's models still have.
        let shape = if layout == Layout::HfDinov3 { vec![1, 1, config.width] } else { vec![1, config.width] };
        put(&mut theirs, "embeddings.mask_token", vec![0.0; config.width], shape);
    }
    if matches!(layout, Layout::HfClip | Layout::HfSiglip) {
        theirs = theirs.into_iter().map(|(name, data)| (format!("vision_model.{name}"), data)).collect();
    }
    kinsight_files::create_dir_all(folder)?;
    let pretty = |value: &Value| format!("{value:#}\n").into_bytes();
    kinsight_files::write(&folder.join("config.json"), &pretty(&config_json(config, layout)))?;
    kinsight_files::write(&folder.join("preprocessor_config.json"), &pretty(&preprocessor_json(preprocess, layout)))?;
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    write_safetensors(&folder.join("model.safetensors"), &theirs, metadata)?;
    Ok(layout)
}

/// The transformers model with this architecture.
fn layout_for(config: &VitConfig) -> Result<Layout, ModelError> {
    let plain = !config.gated_mlp && !config.layer_scale && config.registers == 0;
    if config.rotary_theta.is_some() && config.layer_scale && !config.distilled {
        return Ok(Layout::HfDinov3);
    }
    if config.attention_pool && plain && !config.class_token && config.patch_bias && !config.norm_pre {
        return Ok(Layout::HfSiglip);
    }
    if config.norm_pre && plain && config.class_token && !config.distilled && !config.patch_bias {
        return Ok(Layout::HfClip);
    }
    if config.class_token && !config.norm_pre && config.patch_bias && !config.attention_pool {
        if config.layer_scale && !config.distilled {
            return Ok(Layout::HfDinov2);
        }
        if plain {
            return Ok(Layout::HfVit);
        }
    }
    Err(export_error(
        "transformers has no model class with this combination of parts",
        "use --format timm or --format onnx",
    ))
}

/// transformers gives class and distillation token positions; where only patches have some, theirs are zero.
fn positions_of_special_tokens(tensors: &mut TensorMap, config: &VitConfig, layout: Layout) -> Result<(), ModelError> {
    if config.rotary_theta.is_some() {
        return Ok(());
    }
    let (mut positions, shape) = taken(tensors, "pos_embed")?;
    let missing = config.named_tokens() - config.special_positions();
    positions.splice(0..0, std::iter::repeat_n(0.0, missing * config.width));
    let rows = shape[1] + missing;
    let shape = if matches!(layout, Layout::HfClip | Layout::HfSiglip) {
        vec![rows, config.width]
    } else {
        vec![1, rows, config.width]
    };
    put(tensors, "pos_embed", positions, shape);
    if layout == Layout::HfClip {
        let (token, _) = taken(tensors, "cls_token")?;
        put(tensors, "cls_token", token, [config.width]);
    }
    Ok(())
}

fn queries_keys_values(tensors: &mut TensorMap, config: &VitConfig, layout: Layout) -> Result<(), ModelError> {
    for block in 0..config.depth {
        let name = |part: &str| format!("blocks.{block}.attn.{part}");
        split_rows(tensors, &name("qkv.weight"), &["q.weight", "k.weight", "v.weight"].map(name))?;
        if config.qkv_bias {
            split_rows(tensors, &name("qkv.bias"), &["q.bias", "k.bias", "v.bias"].map(name))?;
        } else if matches!(layout, Layout::HfClip | Layout::HfSiglip) {
            for part in ["q.bias", "k.bias", "v.bias"] {
                put(tensors, &name(part), vec![0.0; config.width], [config.width]);
            }
        }
        if layout == Layout::HfDinov3 {
            // A bias of the keys adds the same to all scores of a query, which softmax does not see.
            tensors.remove(&name("k.bias"));
        }
    }
    Ok(())
}

fn attention_pooling(tensors: &mut TensorMap, config: &VitConfig) -> Result<(), ModelError> {
    if !config.attention_pool {
        return Ok(());
    }
    for kind in ["weight", "bias"] {
        let (mut values, mut shape) = taken(tensors, &format!("attn_pool.q.{kind}"))?;
        values.extend(taken(tensors, &format!("attn_pool.kv.{kind}"))?.0);
        shape[0] = 3 * config.width;
        put(tensors, &format!("attn_pool.in_proj.{kind}"), values, shape);
    }
    Ok(())
}

/// Replaces `name` by its rows in as many equal parts as `into` has names.
fn split_rows(tensors: &mut TensorMap, name: &str, into: &[String]) -> Result<(), ModelError> {
    let (values, mut shape) = taken(tensors, name)?;
    shape[0] /= into.len();
    for (part, rows) in into.iter().zip(values.chunks_exact(values.len() / into.len())) {
        put(tensors, part, rows.to_vec(), shape.clone());
    }
    Ok(())
}

fn renamed(name: &str, config: &VitConfig, layout: Layout) -> String {
    let theirs = layout.theirs(name);
    match layout == Layout::HfDinov2 && config.gated_mlp {
        true => theirs.replace(".mlp.fc1.", ".mlp.weights_in.").replace(".mlp.fc2.", ".mlp.weights_out."),
        false => theirs,
    }
}

fn config_json(config: &VitConfig, layout: Layout) -> Value {
    let (model_type, architecture) = match layout {
        Layout::HfVit if config.distilled => ("deit", "DeiTModel"),
        Layout::HfVit | Layout::Timm => ("vit", "ViTModel"),
        Layout::HfDinov2 if config.registers > 0 => ("dinov2_with_registers", "Dinov2WithRegistersModel"),
        Layout::HfDinov2 => ("dinov2", "Dinov2Model"),
        Layout::HfDinov3 => ("dinov3_vit", "DINOv3ViTModel"),
        Layout::HfClip => ("clip_vision_model", "CLIPVisionModel"),
        Layout::HfSiglip => ("siglip_vision_model", "SiglipVisionModel"),
    };
    let activation = match config.activation {
        _ if config.gated_mlp && layout == Layout::HfDinov3 => "silu",
        Activation::Gelu => "gelu",
        Activation::QuickGelu => "quick_gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
    };
    let mut json = json!({
        "model_type": model_type,
        "architectures": [architecture],
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_hidden,
        "hidden_act": activation,
        "layer_norm_eps": config.layer_norm_eps,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "num_channels": 3,
        "qkv_bias": config.qkv_bias,
        "torch_dtype": "float32",
    });
    match layout {
        Layout::HfDinov2 => {
            // The gated hidden width is two thirds of this, rounded up to a multiple of 8.
            let ratio = if config.gated_mlp {
                config.mlp_hidden * 3 / 2 / config.width
            } else {
                config.mlp_hidden / config.width
            };
            json["mlp_ratio"] = json!(ratio);
            json["use_swiglu_ffn"] = json!(config.gated_mlp);
            json["layerscale_value"] = json!(1.0);
        }
        Layout::HfDinov3 => {
            json["rope_theta"] = json!(config.rotary_theta);
            json["query_bias"] = json!(config.qkv_bias);
            json["key_bias"] = json!(false);
            json["value_bias"] = json!(config.qkv_bias);
            json["use_gated_mlp"] = json!(config.gated_mlp);
        }
        _ => {}
    }
    if config.registers > 0 || layout == Layout::HfDinov3 {
        json["num_register_tokens"] = json!(config.registers);
    }
    json
}

fn preprocessor_json(preprocess: &Preprocess, layout: Layout) -> Value {
    let kind = match layout {
        Layout::HfClip => "CLIPImageProcessor",
        // The one of transformers' processors that resizes the shorter side and crops.
        _ => "BitImageProcessor",
    };
    let crop = preprocess.input_size_px;
    json!({
        "image_processor_type": kind,
        "do_convert_rgb": true,
        "do_resize": true,
        "size": {"shortest_edge": preprocess.resize_size_px},
        "resample": match preprocess.interpolation { Interpolation::Bilinear => 2, Interpolation::Bicubic => 3 },
        "do_center_crop": true,
        "crop_size": {"height": crop, "width": crop},
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": preprocess.mean,
        "image_std": preprocess.std,
    })
}
