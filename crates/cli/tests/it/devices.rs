//! `--device` in every command that embeds: this program is built for the CPU, so any other device is refused.
#![cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu", feature = "vulkan", feature = "metal")))]

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

/// Commands with a command line that does something, but for the device.
fn commands(fixture: &Fixture) -> Vec<(&'static str, Vec<String>)> {
    let path = |name: &str| fixture.path(name).display().to_string();
    let (backbone, images, index) = (path("backbone.safetensors"), path("images"), path("index"));
    let image = fixture.some_image().display().to_string();
    let bare = ["--backbone", &backbone];
    let line = |words: &[&str], more: &[&str]| words.iter().chain(more).map(|word| word.to_string()).collect();
    let train = ["--data", &images, "--batch-size", "8", "--epochs", "1"];
    vec![
        ("quickstart", line(&["--epochs", "1", "--out", &path("quickstart")], &[])),
        ("train", line(&train, &["--backbone", &backbone, "--out", &path("run")])),
        ("plan", line(&train, &bare)),
        ("eval", line(&["--data", &images], &bare)),
        ("embed", line(&[&images, "--out", &path("rows.npy")], &bare)),
        ("audit", line(&[&images, "--out", &path("audit")], &bare)),
        ("compare", line(&["--methods", "linear", "--data", &images, "--out", &path("compare")], &bare)),
        ("index", line(&[&images, "--index", &path("new")], &bare)),
        ("index add", line(&[&image, "--index", &index], &[])),
        ("index migrate", line(&["--index", &index], &bare)),
        ("search", line(&[&image, "--index", &index], &[])),
        ("calibrate", line(&[&images, "--index", &index], &[])),
        ("serve", line(&["--index", &index, "--address", "127.0.0.1:0"], &[])),
        ("explain", line(&[&image, &image, "--json"], &bare)),
        (
            "pretrain",
            line(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/pretrain_nano.toml")], &[]),
        ),
    ]
}

/// All commands whose help names the flag, subcommands included.
fn commands_with_the_flag() -> Vec<String> {
    let listed = |words: &[&str]| -> Vec<String> {
        let help = succeed(kinsight().args(words).arg("--help"));
        let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
        let lines = list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        lines
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let mut found = Vec::new();
    for command in listed(&[]) {
        let subcommands = listed(&[&command]).into_iter().map(|name| format!("{command} {name}"));
        for command in std::iter::once(command.clone()).chain(subcommands) {
            if succeed(kinsight().args(command.split(' ')).arg("--help")).contains("--device") {
                found.push(command);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_device_that_is_not_there_is_refused_by_every_command_that_takes_one() {
    let fixture = Fixture::new();
    let mut index = kinsight();
    index.arg("index").arg(fixture.images()).arg("--index").arg(fixture.path("index"));
    succeed(index.arg("--backbone").arg(fixture.path("backbone.safetensors")));
    let commands = commands(&fixture);
    for (name, line) in &commands {
        let message = fail(kinsight().args(name.split(' ')).args(line).args(["--device", "cuda"]));
        assert_says(&message, &["built without the device cuda", "hint:", "leave --device out"]);
    }
    let mut tested: Vec<String> = commands.iter().map(|(name, _)| name.to_string()).collect();
    tested.sort();
    assert_eq!(tested, commands_with_the_flag(), "a command takes --device and is not tested here");
}
