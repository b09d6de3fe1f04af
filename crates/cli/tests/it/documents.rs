//! Documents stay true: the paths they name exist, the commands they show are the program's.

use std::path::Path;

use crate::fixture::{kinsight, succeed};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Text between single backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_string)).collect()
}

#[test]
fn every_path_in_the_architecture_exists() {
    let spans = code_spans(&read("ARCHITECTURE.md"));
    let paths: Vec<&String> =
        spans.iter().filter(|span| span.contains('/') && !span.contains(' ') && !span.contains("::")).collect();
    assert!(paths.len() > 15, "the map names its places");
    for path in paths {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which does not exist");
    }
}

#[test]
fn the_readme_shows_commands_that_exist() {
    let readme = read("README.md");
    let help = succeed(kinsight().arg("--help"));
    let mut seen = 0;
    for line in readme.lines().filter(|line| line.trim_start().starts_with("kinsight ")) {
        let mut words = line.split_whitespace().skip(1);
        let command = words.next().unwrap_or_default();
        assert!(help.contains(&format!("  {command} ")), "README shows `kinsight {command}`");
        let own_help = succeed(kinsight().args([command, "--help"]));
        for flag in words.filter(|word| word.starts_with("--")) {
            assert!(own_help.contains(flag.split('=').next().unwrap_or(flag)), "README shows {command} {flag}");
        }
        seen += 1;
    }
    assert!(seen > 3, "the README shows how to use the program");
    for required in ["cargo run --release -- quickstart", "cargo test --release"] {
        assert!(readme.contains(required), "README lacks {required}");
    }
}

#[test]
fn every_crate_is_on_the_map() {
    let map = read("ARCHITECTURE.md");
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(map.contains(&format!("| `crates/{name}` |")), "ARCHITECTURE.md has no row for crates/{name}");
    }
}
