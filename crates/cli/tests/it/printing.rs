//! Results that nobody takes: a closed pipe ends quietly, a full disk is told, neither is a panic.
#![cfg(target_os = "linux")]

use std::process::Stdio;

use crate::fixture::{Fixture, assert_says, fail, kinsight, text};

const PRINTING: [&[&str]; 5] =
    [&["methods"], &["backbones"], &["data", "list"], &["eval", "--metrics", "list"], &["train", "--print-config"]];

/// A pipe whose reader has left.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_who_left_is_no_failure() {
    for words in PRINTING {
        let output = kinsight().args(words).stdout(closed_pipe()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{words:?}");
    }
    let output = kinsight().arg("methods").stdout(closed_pipe()).stderr(closed_pipe()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_command_does_its_work_although_nobody_reads_what_it_prints() {
    let fixture = Fixture::new();
    let status = fixture.train("run", &[]).stdout(closed_pipe()).stderr(closed_pipe()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(fixture.path("run/report.html").is_file());
}

#[test]
fn a_full_disk_is_told() {
    for words in PRINTING {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = kinsight().args(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {message}");
        assert_says(&message, &["error: cannot write the results", "No space left"]);
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[test]
fn a_run_works_from_every_folder() {
    let fixture = Fixture::new();
    let mut train = kinsight();
    train.current_dir(fixture.path("")).args(["train", "--method", "linear", "--epochs", "1", "--batch-size", "8"]);
    train.args(["--backbone", "backbone.safetensors", "--data", "images", "--out", "run"]);
    crate::fixture::succeed(&mut train);
    let elsewhere = tempfile::tempdir().unwrap();
    let eval = || {
        let mut command = kinsight();
        command.current_dir(elsewhere.path()).args(["eval", "--bootstrap", "0", "--run"]).arg(fixture.path("run"));
        command
    };
    crate::fixture::succeed(&mut eval());
    crate::fixture::succeed(train.arg("--resume"));
    std::fs::rename(fixture.path("backbone.safetensors"), fixture.path("moved.safetensors")).unwrap();
    assert_says(&fail(&mut eval()), &["backbone.safetensors", "the run", "names", "--backbone"]);
    let eval = || {
        let mut command = eval();
        command.arg("--backbone").arg(fixture.path("moved.safetensors"));
        command
    };
    crate::fixture::succeed(&mut eval());
    std::fs::rename(fixture.images(), fixture.path("moved-images")).unwrap();
    assert_says(&fail(&mut eval()), &["images", "the run", "--data"]);
    crate::fixture::succeed(eval().arg("--data").arg(fixture.path("moved-images")));
}
