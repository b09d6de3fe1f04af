//! No setting panics: `kinsight train` with drawn settings ends well, or with an error that says what to do.
//!
//! Each draw is a process of its own under a limit of memory, so that an abort and an absurd allocation are seen, too.
//! `KINSIGHT_SETTINGS=2000` draws more; `KINSIGHT_SETTINGS=all` tries every value of every key, for a quarter of an hour.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kinsight_train::config::{METHODS, Overrides, parse_assignment};
use kinsight_train::loss::LossKind;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::fixture::{Fixture, text};

const VALUES: [&str; 20] = [
    "0",
    "1",
    "2",
    "-1",
    "7",
    "1000003",
    "4294967296",
    "9223372036854775807",
    "0.0",
    "0.5",
    "-0.5",
    "1.5",
    "1e300",
    "nan",
    "-inf",
    "\"\"",
    "\"x\"",
    "true",
    "[]",
    "{}",
];

/// Address space that a run may take; one of this size takes some hundred megabytes.
const MOST_KILOBYTES: usize = 6 << 20;

/// Longer runs were asked for by their settings (a million epochs) and are stopped.
const LONGEST: Duration = Duration::from_secs(20);

/// The settings that everything is drawn around: every method, with the authors' loss, and every loss, with prompts.
fn starts() -> Vec<Vec<String>> {
    let methods = METHODS.iter().map(|method| vec![format!("method=\"{}\"", method.name)]);
    let bank = ["method=\"vptsp-g\"", "proxies.memory_bank=true", "proxies.bank_storage=\"disk\""];
    let losses =
        LossKind::ALL.iter().map(|loss| vec!["method=\"vpt\"".into(), format!("loss.kind=\"{}\"", loss.name())]);
    methods.chain([bank.map(str::to_string).to_vec()]).chain(losses).collect()
}

/// The keys of `start`'s settings but those that say where images and backbone are.
fn keys(start: &[String]) -> Vec<String> {
    let assignments = start.iter().map(|text| parse_assignment(text).unwrap()).collect();
    let config = Overrides { file: None, assignments }.load().unwrap();
    let keys = config.flattened().into_iter().map(|(key, _)| key);
    let more = ["data.image_size", "tuning.embedding", "optimizer.cosine_length", "eval_every", "tuning.prompts.count"];
    keys.chain(more.map(str::to_string)).filter(|key| !matches!(key.as_str(), "backbone" | "data.path")).collect()
}

fn draws() -> Vec<Vec<String>> {
    let wanted = std::env::var("KINSIGHT_SETTINGS").unwrap_or_else(|_| "60".into());
    let starts: Vec<(Vec<String>, Vec<String>)> = starts().into_iter().map(|start| (keys(&start), start)).collect();
    if wanted == "all" {
        let mut seen = std::collections::BTreeSet::new();
        let mut all = Vec::new();
        for (keys, start) in &starts {
            for key in keys.iter().filter(|key| seen.insert((*key).clone()) || matters(key, start)) {
                all.extend(
                    VALUES
                        .map(|value| start.iter().cloned().chain([format!("{key}={value}")]).collect::<Vec<String>>()),
                );
            }
        }
        return all;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let draw = |_| {
        let (keys, start) = starts.choose(&mut rng).unwrap();
        let mut settings = start.clone();
        for _ in 0..rng.random_range(1..4) {
            settings.push(format!("{}={}", keys.choose(&mut rng).unwrap(), VALUES.choose(&mut rng).unwrap()));
        }
        settings
    };
    // What was once found.
    let bank =
        ["method=vptsp-g", "proxies.memory_bank=true", "proxies.bank_storage=disk", "proxies.class_prompts.count=0"];
    std::iter::once(bank.map(str::to_string).to_vec()).chain((0..wanted.parse().unwrap()).map(draw)).collect()
}

/// Whether `key` belongs to what `start` chooses: the options of its loss, or else those of its method.
fn matters(key: &str, start: &[String]) -> bool {
    match start.iter().find_map(|text| text.strip_prefix("loss.kind=")) {
        Some(kind) => key.starts_with(&format!("loss.{}.", kind.trim_matches('"').replace('-', "_"))),
        None => key.starts_with("tuning.") || key.starts_with("proxies."),
    }
}

#[test]
fn no_setting_panics_aborts_or_takes_absurd_memory() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    for settings in draws() {
        let out = fixture.path("run");
        let _ = std::fs::remove_dir_all(&out);
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {MOST_KILOBYTES}; exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_kinsight"));
        command.args(["train", "--out"]).arg(&out).arg("--data").arg(fixture.images());
        command.arg("--backbone").arg(fixture.path("backbone.safetensors"));
        for setting in
            ["epochs=1", "eval_every=0", "sampling.batch_size=8"].into_iter().chain(settings.iter().map(|s| &**s))
        {
            command.args(["--set", setting]);
        }
        let errors = fixture.path("errors.txt");
        let (stdin, stdout) = (Stdio::null(), Stdio::null());
        command.stdin(stdin).stdout(stdout).stderr(std::fs::File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() && started.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_millis(5));
        }
        let stopped = child.try_wait().unwrap().is_none() && child.kill().is_ok();
        let status = child.wait().unwrap();
        let message = text(&std::fs::read(&errors).unwrap());
        let is_told = match status.code() {
            Some(0) | Some(2) => true,
            Some(1) => message.contains("error:") && message.contains("hint:"),
            _ => stopped,
        };
        if !is_told || message.contains("panicked") {
            let last: Vec<&str> = message.lines().rev().take(6).collect();
            wrong.push(format!("{}: {:?}\n    {}", settings.join(" "), status.code(), last.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} draws:\n{}", wrong.len(), wrong.join("\n"));
}
