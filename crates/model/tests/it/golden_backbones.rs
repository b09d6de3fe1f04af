//! Backbones of every layout against recorded outputs of timm and transformers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::backbone::HubFiles;
use kinsight_model::vit::Activation;
use kinsight_model::weights::{BackboneSource, Layout, WeightFile, infer_config};
use kinsight_model::{Compute, Engine, Pooling, VisionTransformer, VitConfig};

/// Largest difference from the recorded outputs: they were computed in 64 bits.
const TOLERANCE: f32 = 2e-5;

fn golden_dir() -> PathBuf {
    std::env::var_os("KINSIGHT_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from)
}

/// The architecture: from the shapes, and what shapes do not tell from the record's own words.
fn config_of(file: &WeightFile, image_size: usize) -> VitConfig {
    let meta: serde_json::Value = serde_json::from_str(&file.metadata()["meta"]).unwrap();
    let mut config = infer_config(&file.shapes()).unwrap();
    if meta["config"].is_object() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), meta["config"].to_string()).unwrap();
        config = HubFiles::beside(&folder.path().join("model.safetensors")).unwrap().apply(config).unwrap();
    } else {
        config.heads = meta["cfg"]["num_heads"].as_u64().unwrap() as usize;
        if meta["arch"].as_str().unwrap().contains("quick GELU") {
            config.activation = Activation::QuickGelu;
        }
    }
    VitConfig { image_size, ..config }
}

fn check(case: &str, layout: Layout, engine: Engine) {
    let path = golden_dir().join("backbones").join(format!("{case}.safetensors"));
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(file.names().layout, layout, "{case}");
    let (input, input_shape) = file.tensor("__input__").unwrap().unwrap();
    let config = config_of(&file, input_shape[3]);
    let device = Device::flex();
    let mut source = BackboneSource::new(&file, &config, &device);
    let mut model = VisionTransformer::from_source(&mut source, "", &config, None);
    model.compute = Compute { engine, ..Compute::default() };
    source.finish().unwrap();

    let shape: [usize; 4] = input_shape.try_into().unwrap();
    let embedded = model.embed(Tensor::<4>::from_data(TensorData::new(input, shape), &device));
    let before_norm = model.run_blocks(embedded.clone(), Vec::new());
    let tokens = model.normalize(before_norm.clone());
    let pooling = if config.attention_pool { Pooling::Map } else { Pooling::Class };
    let mut compared = 0;
    let mut compare = |what: &str, found: TensorData| {
        let Some((expected, expected_shape)) = file.tensor(&format!("__expect__.{what}")).unwrap() else { return };
        assert_eq!(found.shape().to_vec(), expected_shape, "{case} {what}");
        let found = found.try_to_vec::<f32>().unwrap();
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < TOLERANCE, "{case} ({engine:?}): largest difference of {what} {worst:e}");
        compared += 1;
    };
    compare("tokens_before_post_layernorm", before_norm.into_data());
    compare("tokens", tokens.into_data());
    if config.check_pooling(pooling).is_ok() {
        compare("pooled", model.features(embedded, 0, Vec::new(), pooling).into_data());
    }
    let recorded = file.shapes().keys().filter(|name| name.starts_with("__expect__")).count();
    assert_eq!(compared, recorded, "{case}: every recorded output is compared");
}

#[test]
fn golden_backbones_of_timm() {
    for engine in [Engine::Fused, Engine::Composed] {
        for case in [
            "timm_vit",
            "timm_vit_no_qkv_bias",
            "timm_deit_distilled",
            "timm_vit_pos_resize",
            "timm_vit_pos_resize_down",
            "timm_deit3",
            "timm_dinov2",
            "timm_dinov2_reg4",
            "timm_dinov2_giant_swiglu",
            "timm_clip",
            "timm_siglip_map",
        ] {
            check(case, Layout::Timm, engine);
        }
    }
}

#[test]
fn golden_backbones_of_transformers() {
    for engine in [Engine::Fused, Engine::Composed] {
        check("hf_vit", Layout::HfVit, engine);
        check("hf_dinov2", Layout::HfDinov2, engine);
        check("hf_dinov2_with_registers", Layout::HfDinov2, engine);
        check("hf_clip_vision", Layout::HfClip, engine);
        check("hf_dinov3", Layout::HfDinov3, engine);
    }
}
