//! Pictures added through the server, as files in the index' own folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;

use crate::api::Failure;

/// The folder of added pictures in an index.
const FOLDER: &str = "uploads";

/// A picture on the disk.
#[derive(Debug)]
pub(super) struct Stored {
    pub root: String,
    pub path: String,
}

/// Writes `bytes` under the name of their hash: beside it, synced, renamed, and the folder synced.
pub(super) fn keep(index: &Path, bytes: &[u8]) -> Result<Stored, Failure> {
    let hash = blake3::hash(bytes).to_hex();
    // Two levels, so that no folder grows without bound; the name holds nothing that the client chose.
    let path = format!("{}/{}.{}", &hash[..2], &hash[2..34], extension(bytes));
    let root = folder(index);
    let file = root.join(&path);
    write(&file, bytes).map_err(|error| failed(&error))?;
    let root = root.canonicalize().map_err(|error| failed(&error))?;
    Ok(Stored { root: root.to_string_lossy().into_owned(), path })
}

/// Removes a picture that [`keep`] wrote, and nothing else.
pub(super) fn forget(index: &Path, (root, path): &(PathBuf, PathBuf)) {
    let ours = folder(index).canonicalize().is_ok_and(|folder| folder == *root);
    if ours && path.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        // One that cannot be removed is refused nothing but its space.
        let _ = fs::remove_file(root.join(path));
    }
}

fn folder(index: &Path) -> PathBuf {
    index.join(FOLDER)
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() == bytes.len() as u64) {
        return Ok(());
    }
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let beside = file.with_extension("partial");
    let written = File::create(&beside).and_then(|mut open| {
        open.write_all(bytes)?;
        open.sync_all()?;
        fs::rename(&beside, file)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // The names are durable once their folders are synced: the file's, and the folder's own in its parent.
    File::open(parent)?.sync_all()?;
    parent.parent().map_or(Ok(()), |grandparent| File::open(grandparent)?.sync_all())
}

fn failed(error: &std::io::Error) -> Failure {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        return Failure::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "the disk is full; nothing was added");
    }
    Failure::internal("the picture could not be kept").because(error.to_string())
}

/// By the content, as the decoder tells formats.
fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'G', b'I', b'F', ..] => "gif",
        [b'R', b'I', b'F', b'F', ..] => "webp",
        [b'B', b'M', ..] => "bmp",
        [b'I', b'I', ..] | [b'M', b'M', ..] => "tif",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_kept_once_and_only_ours_are_removed() {
        let index = tempfile::tempdir().unwrap();
        let stored = keep(index.path(), b"\x89PNG and more").unwrap();
        let again = keep(index.path(), b"\x89PNG and more").unwrap();
        assert_eq!(stored.path, again.path);
        let root = PathBuf::from(&stored.root);
        let file = root.join(&stored.path);
        assert_eq!(fs::read(&file).unwrap(), b"\x89PNG and more");
        assert_eq!(file.extension().unwrap(), "png");
        let outside = index.path().join("outside.png");
        fs::write(&outside, b"x").unwrap();
        forget(index.path(), &(root.clone(), "../outside.png".into()));
        forget(index.path(), &(index.path().canonicalize().unwrap(), "outside.png".into()));
        assert!(outside.exists());
        forget(index.path(), &(root, stored.path.into()));
        assert!(!file.exists());
    }
}
