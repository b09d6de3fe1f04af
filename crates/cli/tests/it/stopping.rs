//! A command that is stopped says so by its exit code, so that `a && b` does not do b with what a left half done.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kinsight_model::VitConfig;

use crate::fixture::{Fixture, assert_says, kinsight, succeed, text};

/// Starts `command`, sends it `signal` once `begun` exists, and expects that it stops and says `how` to go on.
#[track_caller]
fn stop(command: &mut Command, signal: &str, begun: &Path, how: &str) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !begun.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{command:?}\n{message}");
    assert_says(&message, &["stopped; ", how]);
    assert!(!message.contains("error:"), "{message}");
}

/// The fixture's images many times over, for commands that would be done too soon.
fn many_images(fixture: &Fixture) -> std::path::PathBuf {
    let folder = fixture.path("many");
    for class in fs::read_dir(fixture.images()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        let target = folder.join(class.file_name().unwrap());
        fs::create_dir_all(&target).unwrap();
        for image in fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()) {
            for copy in 0..12 {
                let name = format!("{copy}-{}", image.file_name().unwrap().to_string_lossy());
                fs::hard_link(&image, target.join(name)).unwrap();
            }
        }
    }
    folder
}

#[test]
fn training_and_comparing_exit_with_130() {
    let fixture = Fixture::new();
    let log = fixture.path("run/log.jsonl");
    stop(&mut fixture.train("run", &["--epochs", "200"]), "-TERM", &log, "--resume");
    let mut compare = kinsight();
    compare.args([
        "compare",
        "--methods",
        "linear",
        "--seeds",
        "0",
        "--epochs",
        "2000",
        "--set",
        "sampling.batch_size=8",
    ]);
    compare.arg("--backbone").arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
    compare.arg("--out").arg(fixture.path("compare"));
    let run = fixture.path("compare/linear/seed-0");
    stop(&mut compare, "-TERM", &run.join("log.jsonl"), "the same command");
    assert!(run.join("checkpoints/latest.safetensors").is_file(), "the run was told to save");
    assert!(!fixture.path("compare/compare.md").exists(), "no table of what is not finished");
}

#[test]
fn embedding_and_indexing_exit_with_130() {
    let fixture = Fixture::new();
    let images = many_images(&fixture);
    let backbone = fixture.path("backbone.safetensors");
    let embed = || {
        let mut command = kinsight();
        command.arg("embed").arg(&images).arg("--out").arg(fixture.path("rows.npy")).args(["--batch-size", "1"]);
        command.arg("--backbone").arg(&backbone);
        command
    };
    stop(&mut embed(), "-INT", &fixture.path("rows.npy.journal"), "the same command goes on");
    let index = |words: &[&str], batch: &str, backbone: &Path| {
        let mut command = kinsight();
        command.arg("index").args(words).arg("--index").arg(fixture.path("index")).args(["--batch-size", batch]);
        command.arg("--backbone").arg(backbone);
        command
    };
    let images = images.display().to_string();
    let made = fixture.path("index/index.json");
    stop(&mut index(&[&images], "1", &backbone), "-TERM", &made, "the same command goes on");
    succeed(&mut index(&[&images], "32", &backbone));
    let other = fixture.write_backbone("other.safetensors", &VitConfig::new(32, 8, 48, 2, 2));
    let begun = fixture.path("index/generations/2/migration.json");
    stop(&mut index(&["migrate"], "1", &other), "-TERM", &begun, "the index is as it was");
    let stats = succeed(kinsight().args(["index", "stats", "--index"]).arg(fixture.path("index")));
    assert_says(&stats, &["backbone.safetensors"]);
}

#[test]
fn pretraining_exits_with_130() {
    let fixture = Fixture::new();
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/pretrain_nano.toml")).unwrap();
    let mut recipe: toml::Table = recipe.parse().unwrap();
    for (key, value) in [("species", 10), ("held_out", 2), ("images_per_species", 2)] {
        recipe.insert(key.into(), value.into());
    }
    let sampling = [("batch_size", 4), ("images_per_class", 2)].map(|(key, value)| (key.to_owned(), value.into()));
    recipe["train"]
        .as_table_mut()
        .unwrap()
        .insert("sampling".into(), toml::Value::Table(sampling.into_iter().collect()));
    let path = fixture.path("recipe.toml");
    fs::write(&path, recipe.to_string()).unwrap();
    let mut command = kinsight();
    command.arg("pretrain").arg("--config").arg(path).arg("--out").arg(fixture.path("pretrain"));
    stop(&mut command, "-TERM", &fixture.path("pretrain/run/log.jsonl"), "--resume");
}
