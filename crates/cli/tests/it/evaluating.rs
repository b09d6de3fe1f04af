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

#[test]
fn every_metric_has_a_name_and_is_shown_by_it() {
    let fixture = Fixture::new();
    let list = succeed(kinsight().args(["eval", "--metrics", "list"]));
    let mut command = kinsight();
    command.args(["eval", "--metrics", "all", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    let printed = succeed(command.arg("--data").arg(fixture.images()));
    let shown = [
        ("recall", "Recall@1"),
        ("precision", "Precision@1"),
        ("ndcg", "nDCG@1"),
        ("map@r", "MAP@R"),
        ("r_precision", "R-precision"),
        ("map", "MAP"),
        ("mrr", "MRR"),
        ("cmc", "CMC"),
        ("map@r/counting_query", "MAP@R, counting query"),
        ("nmi", "NMI"),
        ("ami", "AMI"),
        ("ari", "ARI"),
        ("pairwise_f1", "pairwise F1"),
        ("fnmr@fmr", "FNMR@FMR 1 %"),
        ("eer", "EER"),
        ("density", "density"),
        ("uniformity", "uniformity"),
        ("alignment", "alignment"),
    ];
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    for (name, title) in shown {
        assert_says(&list, &[name]);
        assert_says(&printed, &[title]);
        assert_says(&document, &[&format!("`{name}`")]);
    }
    assert_says(&printed, &["bootstrap"]);
}

#[test]
fn only_some_classes_are_measured_and_unknown_names_are_told() {
    let fixture = Fixture::new();
    let class = fixture.some_image().parent().unwrap().file_name().unwrap().to_string_lossy().to_string();
    let eval = |only: &str| {
        let mut command = kinsight();
        command.args(["eval", "--json", "--part", "all", "--only-classes", only, "--backbone"]);
        command.arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
        command
    };
    let found: Value = serde_json::from_str(&succeed(&mut eval(&class))).unwrap();
    assert_eq!((&found["images"], &found["classes"]), (&Value::from(6), &Value::from(1)));
    assert_says(&crate::fixture::fail(&mut eval("dodo")), &["dodo is not a class of"]);
    assert_says(&crate::fixture::fail(eval(&class).args(["--metrics", "accuracy"])), &["unknown metric accuracy"]);
}
