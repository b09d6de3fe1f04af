//! `kinsight eval`

use serde_json::Value;

use crate::fixture::{Fixture, assert_says, kinsight, succeed};

#[test]
fn a_run_measures_as_it_did_when_it_was_trained() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("run", &[]));
    let json = succeed(kinsight().args(["eval", "--json", "--run"]).arg(fixture.path("run")));
    let measured: Value = serde_json::from_str(&json).unwrap();
    let written = std::fs::read_to_string(fixture.path("run/metrics.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(measured["metrics"], written["metrics"]);
    assert_eq!(measured["images"], 24);
    assert_eq!(measured["worst_classes"].as_array().unwrap().len(), 4);
}

#[test]
fn a_bare_backbone_is_measured_zero_shot() {
    let fixture = Fixture::new();
    let mut command = kinsight();
    command.args(["eval", "--part", "all", "--recall-at", "1,3", "--max-memory-mb", "16", "--backbone"]);
    command.arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
    let printed = succeed(&mut command);
    assert_says(&printed, &["zero-shot", "48 images of 8 classes", "Recall@3", "worst classes", "best classes"]);
    assert!(!printed.contains("Recall@2"));
}

#[test]
fn the_built_in_backbone_is_there() {
    let fixture = Fixture::new();
    let mut command = kinsight();
    command.args(["eval", "--backbone", "kinsight_nano", "--json", "--data"]).arg(fixture.images());
    let measured: Value = serde_json::from_str(&succeed(&mut command)).unwrap();
    let recall = measured["metrics"]["recall@1"].as_f64().unwrap();
    assert!(recall > 0.3, "pretrained weights tell butterflies apart: {recall}");
}

#[test]
fn engines_agree_on_the_metrics() {
    let fixture = Fixture::new();
    let recall = |engine: &str| {
        let mut command = kinsight();
        command.args(["eval", "--json", "--engine", engine, "--backbone"]).arg(fixture.path("backbone.safetensors"));
        let json: Value = serde_json::from_str(&succeed(command.arg("--data").arg(fixture.images()))).unwrap();
        json["metrics"]["map@r"].as_f64().unwrap()
    };
    assert!((recall("fused") - recall("composed")).abs() < 1e-2);
}
