//! `kinsight export`: what it writes is whole, what cannot be written is said.

use std::path::Path;

use kinsight_model::weights::{WeightFile, read_tensors};

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

fn export(fixture: &Fixture, run: &str, format: &str, out: &str) -> std::process::Command {
    let mut command = kinsight();
    command.args(["export", "--format", format]).arg("--run").arg(fixture.path(run));
    command.arg("--out").arg(fixture.path(out)).arg("--probe").arg(fixture.path("probe.safetensors"));
    command
}

fn train(fixture: &Fixture, method: &str, out: &str) {
    let mut command = kinsight();
    command.args(["train", "--method", method, "--epochs", "1", "--batch-size", "8", "--images-per-class", "2"]);
    command.arg("--backbone").arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
    succeed(command.arg("--out").arg(fixture.path(out)));
}

#[test]
fn biases_fold_and_prompts_do_not() {
    let fixture = Fixture::new();
    train(&fixture, "bitfit", "bitfit");
    let listed = succeed(&mut export(&fixture, "bitfit", "timm", "timm.safetensors"));
    assert_says(&listed, &["timm.safetensors", "timm.head.safetensors", "probe.safetensors"]);

    // Exported weights are a backbone again: the same names and shapes, other biases.
    let (before, _) = read_tensors(&fixture.path("backbone.safetensors")).unwrap();
    let (after, _) = read_tensors(&fixture.path("timm.safetensors")).unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, old) in &before {
        assert_eq!(old == &after[name], !name.contains("bias"), "{name}");
    }
    // And Kinsight itself opens what it wrote for transformers, by its own names and configuration.
    succeed(&mut export(&fixture, "bitfit", "hf", "hf"));
    let names = WeightFile::open(&fixture.path("hf/model.safetensors")).unwrap();
    assert!(names.shapes().contains_key("encoder.layer.1.attention.attention.query.weight"));
    for (backbone, probe) in [("hf", "again.safetensors"), ("timm.safetensors", "again2.safetensors")] {
        let mut again = kinsight();
        again.args(["export", "--format", "timm", "--out"]).arg(fixture.path("x.safetensors"));
        again.arg("--backbone").arg(fixture.path(backbone)).arg("--probe").arg(fixture.path(probe));
        succeed(&mut again);
        assert_close(&fixture.path("probe.safetensors"), &fixture.path(probe));
    }

    train(&fixture, "vpt", "prompts");
    for format in ["timm", "hf"] {
        let message = fail(&mut export(&fixture, "prompts", format, "none"));
        assert_says(&message, &["error: visual prompts", "cannot be folded", "hint: ", "--format onnx"]);
        assert!(!fixture.path("none").exists());
    }
    succeed(&mut export(&fixture, "prompts", "onnx", "model.onnx"));
    let bytes = std::fs::read(fixture.path("model.onnx")).unwrap();
    // Version 8 of the format, then the producer.
    assert_eq!(&bytes[..12], b"\x08\x08\x12\x08kinsight");
    for part in
        ["LayerNormalization", "blocks.1.prompts", "head.projection.weight", "embeddings", "kinsight.preprocess"]
    {
        assert!(bytes.windows(part.len()).any(|window| window == part.as_bytes()), "no {part} in the graph");
    }
}

/// The pooled tokens of two probes are equal.
fn assert_close(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(|path| {
        let (values, _) = WeightFile::open(path).unwrap().tensor("pooled").unwrap().unwrap();
        values
    });
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "pooled tokens differ by {worst:e}");
}

#[test]
fn exporting_into_a_folder_or_from_nothing_is_told() {
    let fixture = Fixture::new();
    let mut command = kinsight();
    command.args(["export", "--format", "onnx", "--out"]).arg(fixture.images());
    let message = fail(command.arg("--backbone").arg(fixture.path("backbone.safetensors")));
    assert_says(&message, &["is a folder"]);
    let message = fail(&mut export(&fixture, "no-run", "onnx", "model.onnx"));
    assert_says(&message, &["no-run", "no finished fine-tuning"]);
}
