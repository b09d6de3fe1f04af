//! Everything that Kinsight writes goes through `kinsight-files`, which writes it durably and can prove it.

use std::fs;
use std::path::{Path, PathBuf};

/// What changes files and folders by other means.
const WRITES: [&str; 16] = [
    "fs::write(",
    "fs::rename(",
    "fs::copy(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::hard_link(",
    "File::create(",
    "File::create_new(",
    "File::options(",
    "OpenOptions",
    "MmapMut",
    "Mmap::map(",
    "Writer::from_path(",
];

/// Whether `line` has the call, and not that of a longer name: `AtomicFile::create(` is ours.
fn calls(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric()))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            "tests" | "tests.rs" => {}
            _ if path.is_dir() => sources(&path, found),
            name if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn everything_is_written_by_one_crate() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in fs::read_dir(crates).unwrap() {
        let folder = folder.unwrap().path();
        // Kernels map anonymous memory.
        if !["files", "kernels"].iter().any(|name| folder.ends_with(name)) && folder.join("src").is_dir() {
            sources(&folder.join("src"), &mut found);
        }
    }
    assert!(found.len() > 200);
    let mut others = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            if !line.trim_start().starts_with("//") && WRITES.iter().any(|call| calls(line, call)) {
                others.push(format!(
                    "{}:{}: {}",
                    path.strip_prefix(crates).unwrap().display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(others.is_empty(), "these write by other means than kinsight-files:\n{}", others.join("\n"));
}
