//! Backbones of the timm layouts against recorded outputs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::weights::{BackboneSource, WeightFile, infer_config};
use kinsight_model::{Compute, Engine, VisionTransformer, VitConfig};

fn golden_dir() -> PathBuf {
    std::env::var_os("KINSIGHT_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from)
}

fn check(case: &str, engine: Engine) {
    let path = golden_dir().join("backbones").join(format!("{case}.safetensors"));
    let file = WeightFile::open(&path).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&file.metadata()["meta"]).unwrap();
    let (input, input_shape) = file.tensor("__input__").unwrap().unwrap();
    let config = VitConfig {
        heads: meta["cfg"]["num_heads"].as_u64().unwrap() as usize,
        image_size: input_shape[3],
        ..infer_config(&file.shapes()).unwrap()
    };
    let device = Device::flex();
    let mut source = BackboneSource::new(&file, &config, &device);
    let mut model = VisionTransformer::from_source(&mut source, "", &config, None);
    model.compute = Compute { engine, ..Compute::default() };
    source.finish().unwrap();
    let shape: [usize; 4] = input_shape.try_into().unwrap();
    let images = Tensor::<4>::from_data(TensorData::new(input, shape), &device);
    let tokens = model.normalise(model.run_blocks(model.embed(images), Vec::new()));
    let (expected, expected_shape) = file.tensor("__expect__.tokens").unwrap().unwrap();
    assert_eq!(tokens.dims().to_vec(), expected_shape, "{case}");
    let found = tokens.into_data().try_to_vec::<f32>().unwrap();
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-5, "{case} ({engine:?}): largest difference {worst:e}");
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
        ] {
            check(case, engine);
        }
    }
}
