//! Both transforms against tensors recorded from torchvision.

use std::path::PathBuf;

use safetensors::SafeTensors;
use serde_json::Value;

use super::train::CropAndFlip;
use super::*;
use crate::crop_box::CropBox;
use crate::decode::{DecodeLimits, decode_file};
use crate::preprocess::{Interpolation, Preprocess};

/// Allowed difference of a pixel before normalization, in units of the full scale.
const TOLERANCE: f32 = 1.5 / 255.0;

fn golden_dir() -> PathBuf {
    std::env::var_os("KINSIGHT_GOLDEN")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")), PathBuf::from)
        .join("preprocess")
}

/// The settings of a recorded case: the crop size is the tensor's side, the resize size the description's first number.
fn preprocess(meta: &Value, side: usize, interpolation: Interpolation) -> Preprocess {
    let three = |key: &str| {
        let numbers: Vec<f32> = serde_json::from_value(meta[key].clone()).unwrap();
        <[f32; 3]>::try_from(numbers).unwrap()
    };
    let description = meta["eval"].as_str().unwrap();
    let digits = description.split(|c: char| !c.is_ascii_digit()).find(|run| !run.is_empty()).unwrap();
    Preprocess {
        mean: three("mean"),
        std: three("std"),
        input_size_px: side as u32,
        resize_size_px: digits.parse().unwrap(),
        interpolation,
    }
}

fn crop_box(meta: &Value, name: &str) -> CropBox {
    let numbers: Vec<u32> = serde_json::from_value(meta["boxes"][name]["box_top_left_height_width"].clone()).unwrap();
    CropBox { top: numbers[0], left: numbers[1], height: numbers[2], width: numbers[3] }
}

#[test]
fn golden_preprocess_agrees_with_torchvision() {
    let dir = golden_dir();
    let bytes = std::fs::read(dir.join("expected.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let meta = header.metadata().as_ref().unwrap()["meta"].clone();
    let meta: Value = serde_json::from_str(&meta).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut scratch = Scratch::new();
    let mut checked = 0;
    for (key, tensor) in tensors.tensors() {
        let (name, kind) = key.rsplit_once('.').unwrap();
        let expected: Vec<f32> =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let image = decode_file(&dir.join(format!("{name}.png")), DecodeLimits::default()).unwrap();
        let interpolation = if kind.ends_with("bicubic") { Interpolation::Bicubic } else { Interpolation::Bilinear };
        let settings = preprocess(&meta, tensor.shape()[1], interpolation);
        let mut found = vec![0.0; expected.len()];
        if kind.starts_with("resized_crop") {
            let drawn = CropAndFlip { crop: crop_box(&meta, name), flip: false };
            let transform = TrainTransform::new(settings, 0.08).unwrap();
            transform.apply(&image, drawn, &mut scratch, &mut found).unwrap();
        } else {
            EvalTransform::new(settings).unwrap().apply(&image, &mut scratch, &mut found).unwrap();
        }
        let plane = expected.len() / 3;
        let worst =
            (0..expected.len()).map(|i| (expected[i] - found[i]).abs() * settings.std[i / plane]).fold(0.0, f32::max);
        assert!(worst <= TOLERANCE, "{key}: off by {} of 255, allowed {}", worst * 255.0, TOLERANCE * 255.0);
        checked += 1;
    }
    assert!(checked > 0, "no cases in {}", dir.display());
}
