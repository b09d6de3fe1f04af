//! What goes wrong is said clearly, with a hint, and loses nothing.

use std::fs;
use std::path::Path;

use kinsight_model::VitConfig;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed, text};

/// The first bytes of an image: a header that promises what does not follow.
fn truncate(path: &Path, share: f64) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
}

/// A PNG header that declares `width` x `height` pixels.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
        })
    }
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let sum = crc(&chunk).to_be_bytes();
    [&b"\x89PNG\r\n\x1a\n"[..], &13u32.to_be_bytes(), &chunk, &sum, &[0, 0, 0, 0], b"IDAT"].concat()
}

#[test]
fn unreadable_images_over_one_percent_stop_the_run() {
    for (name, spoil) in [
        ("truncated", (|path: &Path| truncate(path, 0.6)) as fn(&Path)),
        ("corrupt", |path| fs::write(path, b"not a picture at all").unwrap()),
        ("empty", |path| fs::write(path, b"").unwrap()),
        ("enormous", |path| fs::write(path, png_header(50_000, 50_000)).unwrap()),
    ] {
        let fixture = Fixture::new();
        let image = fixture.some_image();
        spoil(&image);
        let message = fail(&mut fixture.train("run", &[]));
        let file = image.file_name().unwrap().to_string_lossy();
        assert_says(&message, &["error:", &file, "1"]);
        assert!(message.len() < 3000, "{name}: {message}");
    }
}

#[test]
fn a_few_unreadable_images_are_skipped_and_counted() {
    let fixture = Fixture::new();
    // 1 unreadable of 121 training images is under 1 %.
    let class = fixture.some_image().parent().unwrap().to_path_buf();
    let source = fs::read(fixture.some_image()).unwrap();
    (0..97).for_each(|i| fs::write(class.join(format!("more-{i:03}.jpg")), &source).unwrap());
    let broken = class.join("more-000.jpg");
    truncate(&broken, 0.5);
    let output = fixture.train("run", &["--epochs", "12"]).output().unwrap();
    let message = text(&output.stderr);
    assert!(output.status.success(), "{message}");
    assert_says(&message, &["warning: skipped", "more-000.jpg"]);
}

#[test]
fn a_folder_without_classes() {
    let fixture = Fixture::new();
    let empty = fixture.path("empty");
    fs::create_dir(&empty).unwrap();
    let message = fail(&mut fixture.train("run", &["--data", empty.to_str().unwrap()]));
    assert_says(&message, &["error:", "empty", "hint:"]);
    let message = fail(&mut fixture.train("run", &["--data", "/nowhere/at/all"]));
    assert_says(&message, &["error:", "/nowhere/at/all"]);
}

#[test]
fn a_class_with_one_image_is_a_warning() {
    let fixture = Fixture::new();
    let class = fixture.some_image().parent().unwrap().to_path_buf();
    let mut images: Vec<_> = fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()).collect();
    images.sort();
    images[1..].iter().for_each(|path| fs::remove_file(path).unwrap());
    let output = fixture.train("run", &[]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_says(&text(&output.stderr), &["warning:", "fewer than 2 images"]);
}

#[test]
fn a_class_in_train_and_test() {
    let fixture = Fixture::new();
    let class = fixture.some_image().parent().unwrap().to_path_buf();
    for part in ["train", "test"] {
        let target = fixture.path("overlap").join(part).join("same-class");
        fs::create_dir_all(&target).unwrap();
        for entry in fs::read_dir(&class).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
        }
    }
    let data = fixture.path("overlap");
    let message = fail(&mut fixture.train("run", &["--data", data.to_str().unwrap()]));
    assert_says(&message, &["error:", "same-class", "hint:"]);
}

#[test]
fn batches_that_cannot_be_formed() {
    let fixture = Fixture::new();
    let message = fail(&mut fixture.train("run", &["--batch-size", "10"]));
    assert_says(&message, &["needs 5 classes", "has 4", "hint:"]);
    let message = fail(&mut fixture.train("run", &["--batch-size", "7"]));
    assert_says(&message, &["not a multiple", "hint:"]);
    // k larger than a class repeats images, and says so.
    let output = fixture.train("more", &["--batch-size", "14", "--images-per-class", "7"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_says(&text(&output.stderr), &["4 training classes have fewer than 7 images"]);
}

#[test]
fn weights_of_another_architecture() {
    let fixture = Fixture::new();
    let other = VitConfig { qkv_bias: false, ..VitConfig::new(32, 8, 48, 3, 2) };
    let path = fixture.write_backbone("kinsight_other.safetensors", &other);
    // The file claims the fixture's architecture and holds another's tensors.
    let mut bytes = fs::read(&path).unwrap();
    let claim = |config: &VitConfig| serde_json::to_string(config).unwrap().replace('"', "\\\"");
    let (wrong, right) = (claim(&VitConfig::new(32, 8, 32, 2, 2)), claim(&other));
    let header = text(&bytes[8..]).find("__metadata__").map(|_| text(&bytes)).unwrap_or_default();
    assert!(header.contains(&right));
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let replaced = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap().replace(&right, &wrong);
    let padded = format!("{replaced:<length$}");
    bytes.splice(8..8 + length, padded.bytes());
    let grown = (padded.len() as u64).to_le_bytes();
    bytes[..8].copy_from_slice(&grown);
    fs::write(&path, bytes).unwrap();
    let message = fail(&mut fixture.train("run", &["--backbone", path.to_str().unwrap()]));
    assert_says(
        &message,
        &[
            "missing blocks.0.attn.qkv.bias, expected shape [96]",
            "norm.weight: expected shape [32], found [48]",
            "unexpected blocks.2.norm1.weight [48]",
            "hint:",
        ],
    );
}

#[test]
fn weights_that_are_no_numbers_or_no_weights() {
    let fixture = Fixture::new();
    let path = fixture.path("backbone.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert_says(&fail(&mut fixture.train("run", &[])), &["is not finite: NaN"]);
    fs::write(&path, b"short").unwrap();
    assert_says(&fail(&mut fixture.train("run", &[])), &["not a valid safetensors file", "shorter than"]);
    fs::write(&path, vec![b'x'; 4096]).unwrap();
    assert_says(&fail(&mut fixture.train("run", &[])), &["not a valid safetensors file"]);
}

#[test]
fn a_backbone_that_is_not_here() {
    let fixture = Fixture::new();
    let message = fail(fixture.train("run", &["--backbone", "deit_tiny"]).env("HF_HOME", fixture.path("cache")));
    assert_says(&message, &["deit_tiny_patch16_224", "HF_HUB_OFFLINE", "hint:", "KINSIGHT_WEIGHTS"]);
    let message = fail(&mut fixture.train("run", &["--backbone", "resnet50"]));
    assert_says(&message, &["neither a file nor a known backbone: resnet50", "hint:", "vit_small_patch16_224"]);
}

#[test]
fn settings_that_do_not_exist() {
    let fixture = Fixture::new();
    let message = fail(&mut fixture.train("run", &["--set", "optimizer.learning_rate=1"]));
    assert_says(&message, &["learning_rate", "hint:"]);
    fs::write(fixture.path("bad.toml"), "epochs = 2\n[optimiser]\nlr = 1.0\n").unwrap();
    let config = fixture.path("bad.toml");
    let message = fail(&mut fixture.train("run", &["--config", config.to_str().unwrap()]));
    assert_says(&message, &["bad.toml", "optimizer", "line 2"]);
    let output = kinsight().args(["train", "--no-such-flag"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "wrong usage");
}

#[test]
fn counts_that_are_nothing_or_absurd() {
    let fixture = Fixture::new();
    for bank in ["ram", "disk"] {
        for (count, reason) in
            [("0", " has no prompt"), ("9000000000000000000", ".count is 9000000000000000000, expected at most")]
        {
            let setting = format!("proxies.class_prompts.count={count}");
            let message = fail(&mut fixture.train("run", &["--bank", bank, "--set", &setting]));
            assert_says(&message, &[&format!("proxies.class_prompts{reason}"), "hint:"]);
        }
    }
    let message = fail(&mut fixture.train("run", &["--set", "tuning.prompts.depth=0"]));
    assert_says(&message, &["tuning.prompts has no prompt", "hint:"]);
}

#[test]
fn a_run_folder_that_cannot_be_used() {
    let fixture = Fixture::new();
    fs::write(fixture.path("file"), b"").unwrap();
    assert_says(&fail(&mut fixture.train("file/run", &[])), &["run folder", "cannot be created", "hint:"]);
    fs::create_dir(fixture.path("other")).unwrap();
    fs::write(fixture.path("other/thesis.tex"), b"years of work").unwrap();
    assert_says(&fail(&mut fixture.train("other", &[])), &["is not empty and is not a run", "hint:"]);

    succeed(&mut fixture.train("run", &[]));
    assert_says(&fail(&mut fixture.train("run", &[])), &["already contains a run", "--resume"]);
    let message = fail(&mut fixture.train("run", &["--resume", "--lr", "0.125"]));
    assert_says(&message, &["other settings", "optimizer.lr: 0.0005 in the run, 0.125 now", "hint:"]);
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_while_saving_loses_nothing() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("whole", &[]));
    let checkpoint = fixture.path("whole/checkpoints/latest.safetensors");
    let blocks = fs::metadata(&checkpoint).unwrap().len() / 2 / 1024;
    // A limit on file sizes stands for the full disk: the write fails half way.
    let train = fixture.train("run", &[]);
    let mut shell = std::process::Command::new("bash");
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("bash");
    shell.arg(train.get_program()).args(train.get_args());
    assert_says(&fail(&mut shell), &["error: cannot write", "latest.safetensors", "because"]);
    let left: Vec<_> = fs::read_dir(fixture.path("run/checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "half a checkpoint was left: {left:?}");
    // With room again the run goes on from what it has, and ends as if nothing had happened.
    succeed(&mut fixture.train("run", &["--resume"]));
    let read = |run: &str| fs::read(fixture.path(run).join("model.safetensors")).unwrap();
    assert!(read("run") == read("whole"));
}

#[test]
fn a_fine_tuning_on_another_backbone() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("run", &[]));
    let other = fixture.write_backbone("other.safetensors", &VitConfig::new(32, 8, 32, 2, 4));
    let message = fail(kinsight().args(["eval", "--run"]).arg(fixture.path("run")).arg("--backbone").arg(&other));
    assert_says(&message, &["was trained on backbone", "hint:"]);
    let message = fail(kinsight().args(["eval", "--run"]).arg(fixture.images()));
    assert_says(&message, &["config.toml", "hint:"]);
}

#[test]
fn a_rate_that_explodes_is_noticed() {
    let fixture = Fixture::new();
    let message = fail(&mut fixture.train("run", &["--lr", "1e30", "--set", "optimizer.kind=sgd", "--epochs", "9"]));
    assert_says(&message, &["the loss became", "hint: lower optimizer.lr"]);
}
