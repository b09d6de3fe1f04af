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
    assert_says(
        &printed,
        &["corrected for the 6 differences", "With one seed, how much training varies cannot be known"],
    );
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
    let differences = json["differences"].as_array().unwrap();
    assert!(
        differences.iter().all(|found| found["excludes_zero"].is_boolean() && found["interval"]["low"].is_number())
    );
    assert!(!json["notes"].to_string().contains("one seed"), "{}", json["notes"]);
    // A folder of a version that kept no classes: the backbone is measured again, and the intervals are the same.
    let zero_shot = out.join("zero_shot.json");
    let text = std::fs::read_to_string(&zero_shot).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old["figures"]["queries"].as_object_mut().unwrap().remove("labels").unwrap();
    std::fs::write(&zero_shot, old.to_string()).unwrap();
    assert_eq!(succeed(&mut compare(&fixture, &["--seeds", "0,3", "--json"])), printed);
    assert_eq!(std::fs::read_to_string(&zero_shot).unwrap(), text);
    for file in ["compare.md", "compare.csv", "compare.json", "compare.html"] {
        assert!(out.join(file).is_file(), "no {file}");
    }
    // Other settings do not pass for the runs that are there.
    let message = fail(&mut compare(&fixture, &["--seeds", "0", "--epochs", "2"]));
    assert_says(&message, &["contains a run with other settings", "are not finished"]);
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
