//! Stopping at any moment and going on equals never having stopped, bit for bit.

use std::process::Stdio;
use std::time::{Duration, Instant};

use kinsight_model::weights::read_tensors;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::fixture::{Fixture, succeed, text};

const SETTINGS: [&str; 2] = ["--set", "checkpoint_every_steps=2"];

#[test]
fn killed_at_random_moments_and_resumed_equals_unbroken() {
    kill_and_resume(&[], 12);
}

/// Here the grouping of the classes changes from epoch to epoch, and the checkpoint has to know it.
#[test]
fn prompts_spread_over_the_classes_resume_as_they_were() {
    kill_and_resume(&["--method", "da-vpt", "--set", "tuning.prompts.count=2"], 4);
}

/// A checkpoint holds what the epoch in hand has embedded so far, and nothing where the classes have just been grouped.
#[test]
fn classes_are_grouped_anew_after_every_epoch() {
    let fixture = Fixture::new();
    let settings =
        ["--method", "da-vpt", "--epochs", "200", "--set", "checkpoint_every_steps=1", "--set", "eval_every=0"];
    let mut child = fixture.train("run", &settings).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let checkpoint = fixture.path("run/checkpoints/latest.safetensors");
    let (mut within, mut between) = (false, false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(within && between) && Instant::now() < deadline {
        let Ok((tensors, metadata)) = read_tensors(&checkpoint) else { continue };
        let progress: serde_json::Value = serde_json::from_str(&metadata["kinsight.progress"]).unwrap();
        let sums = tensors["prompt_spread:sums"].try_to_vec::<f32>().unwrap();
        if progress["batch"] == 0 {
            assert!(sums.iter().all(|sum| *sum == 0.0), "grouped, and begun again");
            between = true;
        } else {
            assert!(sums.iter().any(|sum| *sum != 0.0), "step {} left no trace", progress["step"]);
            within = true;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(within && between, "within an epoch {within}, between epochs {between}");
}

fn kill_and_resume(settings: &[&str], attempts: usize) {
    let fixture = Fixture::new();
    let settings: Vec<&str> = SETTINGS.iter().chain(settings).copied().collect();
    let started = Instant::now();
    succeed(&mut fixture.train("unbroken", &settings));
    let whole = started.elapsed();

    let resume: Vec<&str> = settings.iter().copied().chain(["--resume"]).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut killed = 0;
    for attempt in 0..attempts {
        let arguments = if attempt > 0 { &resume } else { &settings };
        let mut child = fixture.train("broken", arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let moment = whole.mul_f64(rng.random_range(0.1..0.6));
        let deadline = Instant::now() + moment;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        killed += usize::from(running);
    }
    assert!(killed >= 1, "only {killed} of the runs were still running when they were killed");
    succeed(&mut fixture.train("broken", &resume));
    for file in ["log.jsonl", "metrics.json", "model.safetensors"] {
        let read = |run: &str| std::fs::read(fixture.path(run).join(file)).unwrap();
        let (unbroken, broken) = (read("unbroken"), read("broken"));
        assert!(unbroken == broken, "{file} differs:\n{}\n{}", text(&unbroken), text(&broken));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_the_run_goes_on() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("unbroken", &["--epochs", "30"]));
    let mut child = fixture.train("stopped", &["--epochs", "30"]).stderr(Stdio::piped()).spawn().unwrap();
    let log = fixture.path("stopped/log.jsonl");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&log).map_or(0, |m| m.len()) < 200 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    for result in ["model.safetensors", "report.html"] {
        assert!(!fixture.path("stopped").join(result).exists(), "the run was stopped before its end");
    }
    assert!(fixture.path("stopped/checkpoints/latest.safetensors").is_file());
    succeed(&mut fixture.train("stopped", &["--epochs", "30", "--resume"]));
    let read = |run: &str| std::fs::read(fixture.path(run).join("model.safetensors")).unwrap();
    assert!(read("unbroken") == read("stopped"));
}

#[test]
fn a_prompt_memory_bank_on_disk_survives_being_killed_anywhere() {
    let fixture = Fixture::new();
    let settings = ["--bank", "disk", "--set", "checkpoint_every_steps=3"];
    let started = Instant::now();
    succeed(&mut fixture.train("unbroken", &settings));
    let whole = started.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    for attempt in 0..6 {
        let more: Vec<&str> = settings.into_iter().chain((attempt > 0).then_some("--resume")).collect();
        let mut child = fixture.train("broken", &more).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(rng.random_range(0.2..0.7)));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let resume: Vec<&str> = settings.into_iter().chain(["--resume"]).collect();
    succeed(&mut fixture.train("broken", &resume));
    for file in ["log.jsonl", "metrics.json", "model.safetensors"] {
        let read = |run: &str| std::fs::read(fixture.path(run).join(file)).unwrap();
        assert!(read("unbroken") == read("broken"), "{file} differs");
    }
}

#[test]
fn a_prompt_memory_bank_resumes_too() {
    let fixture = Fixture::new();
    let bank = ["--set", "proxies.memory_bank=true"];
    succeed(&mut fixture.train("unbroken", &bank));
    // The same run in two pieces: settings must agree, so the first piece is the whole run cut short.
    let mut child = fixture.train("pieces", &bank).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let checkpoint = fixture.path("pieces/checkpoints/latest.safetensors");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !checkpoint.is_file() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(&mut fixture.train("pieces", &["--set", "proxies.memory_bank=true", "--resume"]));
    let read = |run: &str| std::fs::read(fixture.path(run).join("model.safetensors")).unwrap();
    assert!(read("unbroken") == read("pieces"));
}

#[test]
fn selection_averaging_and_event_files_resume_too() {
    let fixture = Fixture::new();
    let settings = [
        "--validation-share",
        "0.4",
        "--keep",
        "best",
        "--ema",
        "0.9",
        "--accumulate",
        "2",
        "--eval-every-steps",
        "3",
        "--early-stopping",
        "4",
        "--tensorboard",
        "--epochs",
        "10",
        "--batch-size",
        "4",
        "--set",
        "checkpoint_every_steps=1",
    ];
    let started = Instant::now();
    succeed(&mut fixture.train("unbroken", &settings));
    let whole = started.elapsed();
    for share in [0.3, 0.5, 0.4, 0.6] {
        let resume = fixture.path("broken").is_dir().then_some("--resume");
        let more: Vec<&str> = settings.into_iter().chain(resume).collect();
        let mut child = fixture.train("broken", &more).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(share));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    succeed(&mut fixture.train("broken", &settings.into_iter().chain(["--resume"]).collect::<Vec<_>>()));
    let events = "tensorboard/events.out.tfevents.kinsight";
    for file in ["log.jsonl", "metrics.json", "selection.json", "model.safetensors", events] {
        let read = |run: &str| std::fs::read(fixture.path(run).join(file)).unwrap();
        assert!(read("unbroken") == read("broken"), "{file} differs");
    }
}
