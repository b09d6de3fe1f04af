//! One writer at a time: a second one is told who holds the folder, and readers are let in.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kinsight_files::Lock;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

/// Waits until `child` has locked `folder`, and says what others are told. Looks only: taking the lock would refuse the child.
fn wait_for_lock(folder: &Path, child: &mut Child) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let holder = std::fs::read_to_string(folder.join("lock")).unwrap_or_default();
        if holder.contains(&format!("process {} ", child.id())) {
            return holder;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before anything could be seen");
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_training_into_a_run_folder_is_told_who_holds_it() {
    let fixture = Fixture::new();
    let long = ["--epochs", "100000", "--set", "checkpoint_every_steps=1", "--set", "eval_every=0"];
    let mut first = fixture.train("run", &long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let holder = wait_for_lock(&fixture.path("run"), &mut first);
    assert!(holder.ends_with("(kinsight train)"), "{holder}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !fixture.path("run/checkpoints/latest.safetensors").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let resume: Vec<&str> = long.into_iter().chain(["--resume"]).collect();
    assert_says(&fail(&mut fixture.train("run", &resume)), &["run is in use by", &holder, "hint:"]);
    // Readers see the newest checkpoint meanwhile.
    assert!(std::fs::read(fixture.path("run/checkpoints/latest.safetensors")).is_ok());
    assert!(kinsight_train::run::read_log(&fixture.path("run/log.jsonl")).is_ok());
    end(first);
    // The lock goes with the process, however it ends.
    Lock::acquire(&fixture.path("run"), "a test").unwrap();
}

#[test]
fn a_finished_run_is_read_while_another_process_holds_it() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("run", &["--epochs", "1"]));
    let _lock = Lock::acquire(&fixture.path("run"), "a test").unwrap();
    let mut command = kinsight();
    command.args(["eval", "--json", "--run"]).arg(fixture.path("run")).arg("--data").arg(fixture.images());
    succeed(&mut command);
    assert_says(&fail(&mut fixture.train("run", &["--epochs", "1", "--resume"])), &["(a test)", "hint:"]);
}

#[test]
fn a_second_embedding_into_a_file_is_told_who_holds_it() {
    let fixture = Fixture::new();
    let journal = fixture.path("out.npy.journal");
    std::fs::create_dir(&journal).unwrap();
    let lock = Lock::acquire(&journal, "kinsight embed").unwrap();
    let embed = |more: &[&str]| {
        let mut command = kinsight();
        command.arg("embed").arg(fixture.images()).arg("--out").arg(fixture.path("out.npy"));
        command.arg("--backbone").arg(fixture.path("backbone.safetensors")).args(more);
        command
    };
    let held = format!("process {} (kinsight embed)", std::process::id());
    for more in [&[][..], &["--restart"]] {
        assert_says(&fail(&mut embed(more)), &["out.npy.journal is in use by", &held, "hint:"]);
    }
    drop(lock);
    succeed(&mut embed(&[]));
    assert!(fixture.path("out.npy").is_file() && !journal.exists());
}

#[test]
fn a_second_comparison_into_a_folder_is_told_who_holds_it() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("compare")).unwrap();
    let _lock = Lock::acquire(&fixture.path("compare"), "a test").unwrap();
    let mut command = kinsight();
    command.args(["compare", "--methods", "linear,bitfit", "--backbone"]).arg(fixture.path("backbone.safetensors"));
    command.arg("--data").arg(fixture.images()).arg("--out").arg(fixture.path("compare"));
    assert_says(&fail(&mut command), &["compare is in use by", "(a test)", "hint:"]);
}
