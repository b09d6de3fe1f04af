//! Backbones as users have them: folders of the Hugging Face hub, names that are not on disk.

use std::path::Path;

use kinsight_model::weights::WeightFile;
use serde_json::json;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

/// A snapshot folder of a tiny ViT under the names of transformers, with `config` over its own settings.
fn snapshot(fixture: &Fixture, config: serde_json::Value) -> std::path::PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/backbones/hf_vit.safetensors");
    let meta = WeightFile::open(&golden).unwrap().metadata()["meta"].clone();
    let mut stated = serde_json::from_str::<serde_json::Value>(&meta).unwrap()["config"].take();
    for (key, value) in config.as_object().unwrap() {
        stated[key] = value.clone();
    }
    let folder = fixture.path("snapshot");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(golden, folder.join("model.safetensors")).unwrap();
    std::fs::write(folder.join("config.json"), stated.to_string()).unwrap();
    let preprocessor = json!({
        "do_normalize": true, "image_mean": [0.25, 0.5, 0.75], "image_std": [0.5, 0.5, 0.5], "resample": 3,
        "size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": true
    });
    std::fs::write(folder.join("preprocessor_config.json"), preprocessor.to_string()).unwrap();
    folder
}

fn describe(backbone: &Path, fixture: &Fixture) -> std::process::Command {
    let mut command = kinsight();
    command.args(["export", "--json", "--format", "onnx", "--out"]).arg(fixture.path("model.onnx"));
    command.arg("--backbone").arg(backbone);
    command
}

#[test]
fn a_folder_of_the_hub_tells_architecture_and_preprocessing() {
    let fixture = Fixture::new();
    let folder = snapshot(&fixture, json!({}));
    let found: serde_json::Value = serde_json::from_str(&succeed(&mut describe(&folder, &fixture))).unwrap();
    assert_eq!(found["embedding"], 48);
    let expected = json!({"mean": [0.25, 0.5, 0.75], "std": [0.5, 0.5, 0.5], "input_size_px": 32, "resize_size_px": 40,
        "interpolation": "bicubic"});
    assert_eq!(found["preprocess"], expected);
    // It is fine-tuned like any other.
    let folder = folder.display().to_string();
    succeed(&mut fixture.train("run", &["--method", "vpt+bitfit", "--epochs", "1", "--backbone", &folder]));
}

#[test]
fn a_configuration_that_contradicts_the_tensors_is_refused() {
    let fixture = Fixture::new();
    for (config, parts) in [
        (json!({"hidden_size": 64}), vec!["config.json", "hidden_size 64", "48", "hint: "]),
        (json!({"num_attention_heads": 5}), vec!["48", "5"]),
        (json!({"hidden_act": "relu"}), vec!["config.json", "relu", "quick_gelu"]),
    ] {
        let message = fail(&mut describe(&snapshot(&fixture, config), &fixture));
        assert_says(&message, &parts);
    }
    std::fs::write(fixture.path("snapshot/config.json"), "{").unwrap();
    assert_says(&fail(&mut describe(&fixture.path("snapshot"), &fixture)), &["config.json"]);
    std::fs::remove_file(fixture.path("snapshot/model.safetensors")).unwrap();
    let message = fail(&mut describe(&fixture.path("snapshot"), &fixture));
    assert_says(&message, &["no model.safetensors in the folder", "hint: ", "config.json"]);
}

#[test]
fn offline_the_error_says_which_file_to_put_where() {
    let fixture = Fixture::new();
    let empty = fixture.path("hub");
    let mut known = describe(Path::new("dinov2_small"), &fixture);
    let message = fail(known.env("HF_HOME", &empty));
    let parts = ["HF_HUB_OFFLINE", "facebook/dinov2-small", "dinov2_small.safetensors", "KINSIGHT_WEIGHTS"];
    assert_says(&message, &parts);
    let mut repository = describe(Path::new("someone/some-vit"), &fixture);
    let message = fail(repository.env("HF_HOME", &empty));
    assert_says(&message, &["someone/some-vit", "model.safetensors", "config.json", "--backbone"]);
    let mut unknown = describe(Path::new("resnet50"), &fixture);
    assert_says(
        &fail(unknown.env("HF_HOME", &empty)),
        &["neither a file nor a known backbone: resnet50", "deit_tiny_patch16_224"],
    );
}

#[test]
fn backbones_are_listed_with_the_engine_that_runs_them() {
    let text = succeed(kinsight().arg("backbones"));
    assert_says(&text, &["kinsight_nano", "dinov3_vits16", "google/vit-base-patch16-224-in21k", "composed"]);
    let json: serde_json::Value =
        serde_json::from_str(&succeed(kinsight().args(["backbones", "siglip", "--json"]))).unwrap();
    let entries = json.as_array().unwrap();
    assert!(entries.len() > 3 && entries.iter().all(|entry| entry["pooling"] == "map"));
}
