//! `kinsight compare`: trains what is missing, and makes the tables.

use std::path::Path;

use kinsight_train::compare::CompareSpec;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

fn compare(fixture: &Fixture, more: &[&str]) -> std::process::Command {
    let mut command = kinsight();
    let epochs = if more.contains(&"--epochs") { &[][..] } else { &["--epochs", "1"][..] };
    command.args(["compare", "--methods", "linear,vpt+bitfit"]).args(epochs).args(["--set", "sampling.batch_size=8"]);
    command.arg("--backbone").arg(fixture.path("backbone.safetensors"));
    command.arg("--data").arg(fixture.images()).arg("--out").arg(fixture.path("compare"));
    command.args(more);
    command
}

#[test]
fn a_comparison_is_made_and_goes_on_where_it_stopped() {
    let fixture = Fixture::new();
    let printed = succeed(&mut compare(&fixture, &["--seeds", "0"]));
    assert_says(&printed, &["| zero-shot |", "| linear |", "| vpt+bitfit |", "Differences in MAP@R"]);
    let out = fixture.path("compare");
    let model = out.join("linear/seed-0/model.safetensors");
    let first = std::fs::metadata(&model).unwrap().modified().unwrap();
    let printed = succeed(&mut compare(&fixture, &["--seeds", "0,3", "--json"]));
    assert_eq!(std::fs::metadata(&model).unwrap().modified().unwrap(), first, "a finished run is not trained again");
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["seeds"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 2, 2]);
    assert!(rows[1]["trainable"].as_u64() < rows[2]["trainable"].as_u64());
    assert!(rows[1]["images_per_second"]["mean"].as_f64().unwrap() > 0.0);
    for file in ["compare.md", "compare.csv", "compare.json", "compare.html"] {
        assert!(out.join(file).is_file(), "no {file}");
    }
    // Other settings do not pass for the runs that are there.
    let message = fail(&mut compare(&fixture, &["--seeds", "0", "--epochs", "2"]));
    assert_says(&message, &["holds a run with other settings", "are missing"]);
}

#[test]
fn the_published_comparisons_are_valid() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut seen = 0;
    for entry in std::fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("compare") {
            let spec = CompareSpec::read(&path).unwrap();
            let runs = spec.runs(&[]).unwrap();
            assert_eq!(runs.len(), spec.entries.len() * spec.seeds.len(), "{}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}
