//! `kinsight index`, `search` and `calibrate` on drawn images.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kinsight_model::VitConfig;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use crate::fixture::{Fixture, assert_says, fail, kills, kinsight, succeed};

fn index(fixture: &Fixture, name: &str) -> Command {
    let mut command = kinsight();
    command.arg("index").arg(fixture.images()).arg("--index").arg(fixture.path(name));
    command.arg("--backbone").arg(fixture.path("backbone.safetensors")).args(["--batch-size", "4"]);
    command
}

fn on_index(fixture: &Fixture, words: &[&str], name: &str) -> Command {
    // Before the flags, the last of which may still want its value.
    let flags = words.iter().position(|word| word.starts_with("--")).unwrap_or(words.len());
    let mut command = kinsight();
    command.args(&words[..flags]).arg("--index").arg(fixture.path(name)).args(&words[flags..]);
    command
}

fn search(fixture: &Fixture, name: &str, more: &[&str]) -> Command {
    let mut command = on_index(fixture, &["search"], name);
    command.args(more);
    command
}

fn images(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for class in fs::read_dir(fixture.images()).unwrap().map(|entry| entry.unwrap().path()) {
        if class.is_dir() {
            let files = fs::read_dir(class).unwrap().map(|entry| entry.unwrap().path());
            found.extend(files.filter(|path| path.extension().is_some_and(|ending| ending == "jpg")));
        }
    }
    found.sort();
    found
}

/// Vectors and fields of an index.
fn exported(fixture: &Fixture, name: &str) -> (Vec<u8>, String) {
    let out = fixture.path(&format!("{name}.npy"));
    succeed(on_index(fixture, &["index", "export"], name).arg("--out").arg(&out));
    (fs::read(&out).unwrap(), fs::read_to_string(out.with_extension("csv")).unwrap())
}

#[test]
fn searching_each_indexed_image_gives_the_recall_of_eval() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let mut command = kinsight();
    command.args(["eval", "--part", "all", "--json", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    let measured: Value = serde_json::from_str(&succeed(command.arg("--data").arg(fixture.images()))).unwrap();
    let images = images(&fixture);
    assert_eq!(images.len(), 48);
    let lines = succeed(search(&fixture, "index", &["--each", "--json", "--not-itself", "-k", "1"]).args(&images));
    let mut right = 0;
    for (line, image) in lines.lines().zip(&images) {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["queries"][0], image.to_str().unwrap());
        let label = image.parent().unwrap().file_name().unwrap().to_str().unwrap();
        right += usize::from(answer["hits"][0]["fields"]["label"] == label);
    }
    assert_eq!(lines.lines().count(), 48);
    assert_eq!(right as f64 / 48.0, measured["metrics"]["recall@1"].as_f64().unwrap());
}

#[test]
fn an_exported_index_is_judged_as_its_images_are() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let table = fixture.path("index.parquet");
    succeed(on_index(&fixture, &["index", "export"], "index").arg("--out").arg(&table));
    let judged = |command: &mut Command| -> Value {
        serde_json::from_str::<Value>(&succeed(command.arg("--json"))).unwrap()["metrics"]["map@r"].clone()
    };
    let of_table = judged(kinsight().args(["eval", "--embeddings"]).arg(&table));
    let mut of_images = kinsight();
    of_images.args(["eval", "--part", "all", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    let of_images = judged(of_images.arg("--data").arg(fixture.images()));
    let difference = of_table.as_f64().unwrap() - of_images.as_f64().unwrap();
    assert!(difference.abs() < 1e-9, "{of_table} for {of_images}");
    let mut other = on_index(&fixture, &["index", "export"], "index");
    assert_says(&fail(other.arg("--out").arg(fixture.path("index.xlsx"))), &[".npy or .parquet"]);
}

#[test]
fn answers_are_filtered_cut_and_shown() {
    let fixture = Fixture::new();
    assert_says(&succeed(&mut index(&fixture, "index")), &["48 images", "48 added"]);
    assert_says(&succeed(&mut index(&fixture, "index")), &["48 unchanged", "0 added"]);
    let images = images(&fixture);
    let one = images[0].to_str().unwrap();
    let hits = |more: &[&str]| -> Vec<Value> {
        let found: Value = serde_json::from_str(&succeed(search(&fixture, "index", &["--json"]).args(more))).unwrap();
        found["hits"].as_array().unwrap().clone()
    };
    let found = hits(&[one, "-k", "5"]);
    assert_eq!(found.len(), 5);
    assert_eq!(found[0]["file"], fs::canonicalize(one).unwrap().to_str().unwrap(), "an image finds itself first");
    assert!(found[0]["score"].as_f64().unwrap() > 0.99999);
    let label = found[0]["fields"]["label"].as_str().unwrap().to_owned();
    let others = hits(&[one, "--where", &format!("label != '{label}' and width = 40"), "-k", "60"]);
    assert_eq!(others.len(), 42);
    assert!(hits(&[one, "--where", "width > 40"]).is_empty());
    assert!(hits(&[one, "--threshold", "0.99999"]).len() < 48);
    let second = images[20].to_str().unwrap();
    let mean = hits(&[one, second, "-k", "60"]);
    let away = hits(&[one, "--not", second, "-k", "60"]);
    let score = |hits: &[Value], file: &str| {
        let wanted = fs::canonicalize(file).unwrap();
        let hit = hits.iter().find(|hit| hit["file"] == wanted.to_str().unwrap()).unwrap();
        hit["score"].as_f64().unwrap()
    };
    assert!(score(&mean, second) > score(&away, second));
    for rerank in ["alpha-qe", "k-reciprocal"] {
        assert_eq!(hits(&[one, "--rerank", rerank]).len(), 10);
    }
    assert_ne!(hits(&[one, "--crop", "0,0,12,12"])[0]["score"], 1.0);
    let page = fixture.path("found.html");
    assert_says(&succeed(search(&fixture, "index", &[one, "--html"]).arg(&page)), &[label.as_str(), ".jpg"]);
    assert_says(&fs::read_to_string(page).unwrap(), &["<!doctype html>", "data:image/jpeg;base64,", label.as_str()]);
}

#[test]
fn thresholds_are_measured_kept_and_spoken() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let one = images(&fixture)[0].clone();
    let message = fail(search(&fixture, "index", &["--threshold", "same"]).arg(&one));
    assert_says(&message, &["no thresholds", "kinsight calibrate"]);
    // The index's own vectors are measured, with which no model has to do.
    let asked = fail(&mut on_index(&fixture, &["calibrate", "--precision", "bf16"], "index"));
    assert_says(&asked, &["flags for the model are for IMAGES", "hint:"]);
    let curve = fixture.path("curve.html");
    let mut calibrate = on_index(&fixture, &["calibrate", "--same", "0.01", "--similar", "0.1", "--html"], "index");
    assert_says(
        &succeed(calibrate.arg(&curve)),
        &["48 images with 8 labels", "duplicate", "same", "similar", "unknown"],
    );
    assert_says(&fs::read_to_string(curve).unwrap(), &["<svg", "false match"]);
    let found: Value = serde_json::from_str(&succeed(search(&fixture, "index", &["--json"]).arg(&one))).unwrap();
    assert_eq!(found["hits"][0]["verdict"], "duplicate");
    let mut other = on_index(&fixture, &["calibrate", "--same", "0.01", "--similar", "0.1"], "index");
    assert_says(&succeed(other.arg(fixture.images())), &["48 images with 8 labels"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "stats"], "index")), &["thresholds", "exact", "48 of 8"]);
}

#[test]
fn images_are_added_and_removed_by_name_and_filter() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let image = images(&fixture)[0].clone();
    fs::copy(&image, fixture.path("extra.jpg")).unwrap();
    let mut add = on_index(&fixture, &["index", "add", "--label", "extra"], "index");
    assert_says(&succeed(add.arg(fixture.path("extra.jpg"))), &["49 images", "1 copied"]);
    let mut remove = on_index(&fixture, &["index", "remove"], "index");
    assert_says(&succeed(remove.arg(fixture.path("extra.jpg"))), &["1 images removed"]);
    let label = image.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let mut remove = on_index(&fixture, &["index", "remove", "--where"], "index");
    assert_says(&succeed(remove.arg(format!("label = '{label}'"))), &["6 images removed"]);
    let mut remove = on_index(&fixture, &["index", "remove", "nobody.jpg"], "index");
    assert_says(&fail(&mut remove), &["no image nobody.jpg"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "index")), &["42 images, no damage"]);
    let before = exported(&fixture, "index");
    assert_says(&succeed(&mut on_index(&fixture, &["index", "compact"], "index")), &["removed 7 deleted rows"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "index")), &["42 images, no damage"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "stats"], "index")), &[" 0 deleted rows"]);
    assert!(exported(&fixture, "index") == before, "compacting changes no image");
}

#[test]
fn a_moved_folder_is_relocated_and_not_indexed_twice() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let (old, new) = (fixture.images().canonicalize().unwrap(), fixture.path("pictures"));
    fs::rename(&old, &new).unwrap();
    let mut moved = on_index(&fixture, &["index"], "index");
    let message = fail(moved.arg(&new).arg("--backbone").arg(fixture.path("backbone.safetensors")));
    assert_says(&message, &["48 of these images", &format!("relocate '{}' '{}'", old.display(), new.display())]);
    let mut relocate = on_index(&fixture, &["index", "relocate"], "index");
    // As people type them, after the folder is gone.
    let root = fixture.path("");
    assert_says(&succeed(relocate.current_dir(&root).arg("images/").arg("pictures/")), &["48 images are now in"]);
    let mut again = on_index(&fixture, &["index"], "index");
    let report = succeed(again.arg(&new).arg("--backbone").arg(fixture.path("backbone.safetensors")));
    assert_says(&report, &["48 images in", "48 unchanged"]);
    // The index itself, too.
    fs::rename(fixture.path("index"), fixture.path("moved")).unwrap();
    assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "moved")), &["48 images, no damage"]);
}

/// Starts `command` again and again, killing it at random moments, and lets it finish in the end. What was committed by
/// then must be there after each kill, and the check must pass.
fn kill_and_finish(fixture: &Fixture, name: &str, whole: Duration, seed: u64, command: impl Fn() -> Command) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    for _ in 0..kills() {
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + whole.mul_f64(rng.random_range(0.05..0.8));
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        if fixture.path(name).join("index.json").is_file() {
            assert_says(&succeed(&mut on_index(fixture, &["index", "check"], name)), &["no damage"]);
        }
    }
    assert!(killed >= 1, "no run was still running when it was killed");
    succeed(&mut command());
    assert_says(&succeed(&mut on_index(fixture, &["index", "check"], name)), &["no damage"]);
}

#[test]
fn killed_while_indexing_and_finished_equals_unbroken() {
    let fixture = Fixture::new();
    let started = Instant::now();
    succeed(&mut index(&fixture, "unbroken"));
    kill_and_finish(&fixture, "broken", started.elapsed(), 5, || index(&fixture, "broken"));
    assert!(exported(&fixture, "unbroken") == exported(&fixture, "broken"));
}

#[test]
fn killed_while_migrating_and_finished_equals_unbroken() {
    let fixture = Fixture::new();
    let other = fixture.write_backbone("other.safetensors", &VitConfig::new(32, 8, 24, 3, 2));
    let migrate = |name: &str| {
        let mut command = on_index(&fixture, &["index", "migrate", "--batch-size", "4", "--backbone"], name);
        command.arg(&other);
        command
    };
    for name in ["unbroken", "broken"] {
        succeed(&mut index(&fixture, name));
    }
    let started = Instant::now();
    assert_says(&succeed(&mut migrate("unbroken")), &["48 images now use", "48 embedded"]);
    let whole = started.elapsed();
    // A run that was killed after its last step has nothing left to migrate; that is told as wrong usage of the model.
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for _ in 0..kills() {
        let mut child = migrate("broken").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(rng.random_range(0.05..0.9)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "broken")), &["48 images, no damage"]);
    }
    let finished = migrate("broken").output().unwrap();
    let message = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(finished.status.success() || message.contains("the model is the same"), "{message}");
    assert!(exported(&fixture, "unbroken") == exported(&fixture, "broken"));
}

#[test]
fn what_was_printed_as_done_survives_a_kill() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let extra = fixture.path("extra");
    fs::create_dir(&extra).unwrap();
    for (i, image) in images(&fixture).iter().take(6).enumerate() {
        let mut bytes = fs::read(image).unwrap();
        bytes.push(i as u8); // other content, the same picture
        let path = extra.join(format!("{i}.jpg"));
        fs::write(&path, bytes).unwrap();
        succeed(on_index(&fixture, &["index", "add"], "index").arg(&path));
        let mut child = on_index(&fixture, &["index", "add"], "index");
        let mut child = child.arg(image).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 * i as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = succeed(&mut on_index(&fixture, &["index", "stats", "--json"], "index"));
        let stats: Value = serde_json::from_str(&found).unwrap();
        assert!(stats["store"]["points"].as_u64().unwrap() > 48 + i as u64, "an added image is gone");
    }
}

#[test]
fn bad_input_is_told_and_changes_nothing() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let one = images(&fixture)[0].clone();
    let cut = fixture.path("cut.jpg");
    fs::write(&cut, &fs::read(&one).unwrap()[..60]).unwrap();
    assert_says(&fail(search(&fixture, "index", &[]).arg(&cut)), &["cannot decode", "cut.jpg", "because"]);
    let message = fail(search(&fixture, "index", &["--where", "label = and width > 5"]).arg(&one));
    assert_says(&message, &["filter, column 9", "^", "keyword"]);
    assert_says(&fail(search(&fixture, "nowhere", &[]).arg(&one)), &["no index in", "hint:"]);
    assert_says(&fail(search(&fixture, "index", &["--threshold", "seven"]).arg(&one)), &["--threshold", "seven"]);
    let message = fail(search(&fixture, "index", &["--crop", "0,0,100,100"]).arg(&one));
    assert_says(&message, &["crop 0,0,100,100", "40 x 40"]);

    let other = fixture.write_backbone("other.safetensors", &VitConfig::new(32, 8, 32, 2, 4));
    let message = fail(search(&fixture, "index", &["--backbone"]).arg(&other).arg(&one));
    assert_says(&message, &["made with another model", "backbone", "expected", "hint:", "migrate"]);
    let mut command = on_index(&fixture, &["index"], "index");
    let message = fail(command.arg(fixture.images()).arg("--backbone").arg(&other));
    assert_says(&message, &["made with another model", "hint:"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "index")), &["48 images, no damage"]);
}

#[test]
fn another_version_is_refused() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "index"));
    let manifest = fixture.path("index/index.json");
    let text = fs::read_to_string(&manifest).unwrap().replacen("\"format\": 2", "\"format\": 3", 1);
    fs::write(&manifest, text).unwrap();
    let message = fail(search(&fixture, "index", &[]).arg(&images(&fixture)[0]));
    assert_says(&message, &["format version 3", "reads 2", "hint:"]);
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_while_indexing_loses_nothing() {
    let fixture = Fixture::new();
    succeed(&mut index(&fixture, "whole"));
    // A limit on file sizes stands for the full disk: enough for an empty index and some of the images.
    let limited = |name: &str, blocks: u64| {
        let command = index(&fixture, name);
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("bash");
        shell.arg(command.get_program()).args(command.get_args());
        shell
    };
    let message = fail(&mut limited("index", 90));
    assert_says(&message, &["error: cannot write", "because", "hint: the disk is full"]);
    assert_says(&succeed(&mut on_index(&fixture, &["index", "check"], "index")), &["no damage"]);
    succeed(&mut index(&fixture, "index"));
    assert!(exported(&fixture, "index") == exported(&fixture, "whole"));
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_to() {
    let fixture = Fixture::new();
    // Not even root can write below a file.
    fs::write(fixture.path("file"), b"").unwrap();
    let message = fail(&mut index(&fixture, "file/index"));
    assert_says(&message, &["cannot create", "because"]);
    assert!(Path::new(&fixture.path("file")).is_file());
    fs::create_dir(fixture.path("taken")).unwrap();
    fs::write(fixture.path("taken/thesis.tex"), b"years of work").unwrap();
    assert_says(&fail(&mut index(&fixture, "taken")), &["is not empty", "hint:"]);
}

#[test]
fn an_index_is_searched_in_the_precision_it_was_made_in() {
    let fixture = Fixture::new();
    succeed(index(&fixture, "index").args(["--precision", "bf16"]));
    let image = fixture.some_image().display().to_string();
    let best = |more: &[&str]| -> f64 {
        let found: Value =
            serde_json::from_str(&succeed(&mut search(&fixture, "index", &[&[&image, "--json"], more].concat())))
                .unwrap();
        found["hits"][0]["score"].as_f64().unwrap()
    };
    assert!((best(&[]) - 1.0).abs() < 1e-6, "{}", best(&[]));
    let stats: Value =
        serde_json::from_str(&succeed(&mut on_index(&fixture, &["index", "stats", "--json"], "index"))).unwrap();
    let precision = &stats["fingerprint"]["precision"];
    assert_eq!((precision, &stats["fingerprint"]["pooling"]), (&Value::from("bf16"), &Value::from("class")));
    let mut serve = on_index(&fixture, &["serve", "--address", "127.0.0.1:0", "--precision", "f32"], "index");
    for command in [&mut search(&fixture, "index", &[&image, "--precision", "f32"]), &mut serve] {
        assert_says(&fail(command), &["precision f32, expected bf16", "hint:", "leave out --precision"]);
    }
    // An index of an older version says nothing of it.
    let path = fixture.path("index/index.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fingerprint = manifest["fingerprint"].as_object_mut().unwrap();
    assert!(fingerprint.remove("precision").is_some() && fingerprint.remove("pooling").is_some());
    fs::write(&path, manifest.to_string()).unwrap();
    assert!(best(&[]) > 0.999 && best(&["--precision", "bf16"]) > 0.999_999);
}
