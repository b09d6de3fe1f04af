//! `kinsight embed`, and judging what it wrote.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed, text};

fn embed(fixture: &Fixture, out: &str, more: &[&str]) -> Command {
    let mut command = kinsight();
    command.arg("embed").arg("--backbone").arg(fixture.path("backbone.safetensors")).args(more);
    command.arg(fixture.images()).arg("--out").arg(fixture.path(out));
    command
}

fn eval(path: &Path, more: &[&str]) -> Value {
    let printed = succeed(kinsight().args(["eval", "--json", "--embeddings"]).arg(path).args(more));
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn every_format_holds_the_same_and_is_judged_as_the_images_are() {
    let fixture = Fixture::new();
    let mut direct = kinsight();
    direct.args(["eval", "--json", "--part", "all", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    let direct: Value = serde_json::from_str(&succeed(direct.arg("--data").arg(fixture.images()))).unwrap();
    for name in ["rows.npy", "rows.safetensors", "rows.parquet"] {
        let printed = succeed(&mut embed(&fixture, &format!("out/{name}"), &[]));
        assert_says(&printed, &["48 embeddings of 32 numbers, 0 images skipped", name]);
        let judged = eval(&fixture.path(&format!("out/{name}")), &[]);
        assert_eq!(judged["metrics"], direct["metrics"], "{name}");
        assert_eq!(judged["intervals"], direct["intervals"], "{name}");
        assert_eq!(judged["classes"], 8);
    }
    let csv = fs::read_to_string(fixture.path("out/rows.csv")).unwrap();
    assert_eq!(csv.lines().count(), 49);
    assert_says(&csv, &["path,label", &fixture.some_image().display().to_string()]);
    let left: Vec<_> = fs::read_dir(fixture.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("journal")), "{left:?}");
}

#[test]
fn killed_at_any_moment_and_begun_again_equals_unbroken() {
    let fixture = Fixture::new();
    let slow = ["--batch-size", "1"];
    succeed(&mut embed(&fixture, "unbroken.npy", &slow));
    let mut broken = 0;
    for after in [2, 10, 25] {
        let mut child =
            embed(&fixture, "broken.npy", &slow).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let journal = fixture.path("broken.npy.journal/done.jsonl");
        let deadline = Instant::now() + Duration::from_secs(60);
        let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
        while lines() < after && child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        broken += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(broken > 0, "no run was still running when it was killed");
    if fixture.path("broken.npy.journal").is_dir() {
        assert!(!fixture.path("broken.npy").exists(), "nothing under the name before it is whole");
        let again = embed(&fixture, "broken.npy", &slow).output().unwrap();
        assert_says(&text(&again.stderr), &["resuming after"]);
        assert!(again.status.success());
    }
    for ending in ["npy", "labels.npy", "csv"] {
        let read = |name: &str| fs::read(fixture.path(name).with_extension(ending)).unwrap();
        assert!(read("unbroken.npy") == read("broken.npy"), "{ending} differs");
    }
}

#[test]
fn unreadable_images_are_skipped_named_and_counted() {
    let fixture = Fixture::new();
    let image = fixture.some_image();
    fs::write(&image, b"no picture").unwrap();
    let output = embed(&fixture, "rows.parquet", &["--json"]).output().unwrap();
    assert!(output.status.success());
    let name = image.file_name().unwrap().to_string_lossy().to_string();
    assert_says(&text(&output.stderr), &["warning: skipped", &name]);
    let summary: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!((&summary["embeddings"], summary["skipped"].as_array().unwrap().len()), (&Value::from(47), 1));
    assert_eq!(eval(&fixture.path("rows.parquet"), &[])["images"], 47);
}

#[test]
fn loose_images_have_no_labels() {
    let fixture = Fixture::new();
    let class = fixture.some_image().parent().unwrap().to_path_buf();
    let mut command = kinsight();
    command.args(["embed", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    command.arg(&class).arg(fixture.some_image()).arg("--out").arg(fixture.path("some.npy"));
    assert_says(&succeed(&mut command), &["7 embeddings"]);
    let message = fail(kinsight().args(["eval", "--embeddings"]).arg(fixture.path("some.npy")));
    assert_says(&message, &["no column \"label\""]);
}

#[test]
fn what_cannot_go_on_says_so() {
    let fixture = Fixture::new();
    assert_says(&fail(&mut embed(&fixture, "rows.txt", &[])), &["rows.txt", ".npy, .safetensors or .parquet"]);
    fs::create_dir(fixture.path("rows.npy.journal")).unwrap();
    fs::write(fixture.path("rows.npy.journal/job.json"), "{}").unwrap();
    assert_says(&fail(&mut embed(&fixture, "rows.npy", &[])), &["another model", "hint:", "--restart"]);
    succeed(&mut embed(&fixture, "rows.npy", &["--restart"]));
}

#[test]
fn views_are_averaged_and_processing_stands_beside_the_plain_figure() {
    let fixture = Fixture::new();
    let backbone = fixture.path("backbone.safetensors");
    let mut command = kinsight();
    command.args(["eval", "--post", "aqe,dba,pca-whiten,k-reciprocal", "--tta", "flip,scales", "--post-k", "2"]);
    command.arg("--backbone").arg(&backbone).arg("--data").arg(fixture.images());
    assert_says(&succeed(&mut command), &["plain", "aqe", "dba", "pca-whiten", "k-reciprocal"]);
    let figures: Value = serde_json::from_str(&succeed(command.arg("--json"))).unwrap();
    for name in ["aqe", "dba", "pca-whiten", "k-reciprocal"] {
        let map = figures["processed"][name]["metrics"]["map@r"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&map), "{name}: {map}");
    }
    succeed(&mut embed(&fixture, "plain.npy", &[]));
    succeed(&mut embed(&fixture, "views.npy", &["--tta", "flip"]));
    let read = |name: &str| fs::read(fixture.path(name)).unwrap();
    assert!(read("plain.npy") != read("views.npy") && read("plain.npy").len() == read("views.npy").len());
    let message =
        fail(kinsight().args(["eval", "--post", "pca-whiten", "--embeddings"]).arg(fixture.path("plain.npy")));
    assert_says(&message, &["--training-embeddings"]);
    eval(
        &fixture.path("plain.npy"),
        &["--post", "pca-whiten", "--training-embeddings", fixture.path("views.npy").to_str().unwrap()],
    );
}

#[test]
fn queries_search_a_gallery_of_their_own() {
    let fixture = Fixture::new();
    succeed(&mut embed(&fixture, "rows.parquet", &[]));
    let rows = fixture.path("rows.parquet");
    let found = eval(&rows, &["--gallery", rows.to_str().unwrap(), "--recall-at", "1"]);
    assert_eq!(found["metrics"]["recall@1"], 1.0, "every row finds itself in a gallery of its own");
}
