//! Images added through the server, as files in the index's own folder.

use std::path::{Component, Path, PathBuf};

use kinsight_files::FileError;
use kinsight_index::uploads_root;

use crate::service::ServiceError;

/// An image on the disk.
#[derive(Debug)]
pub(super) struct Stored {
    pub root: String,
    pub path: String,
}

/// Writes `bytes` under the name of their hash; on the disk when it returns.
pub(super) fn keep(index: &Path, bytes: &[u8]) -> Result<Stored, ServiceError> {
    let hash = blake3::hash(bytes).to_hex();
    // Two levels, so that no folder grows without bound; the name holds nothing that the client chose.
    let path = format!("{}/{}.{}", &hash[..2], &hash[2..34], extension(bytes));
    write(&uploads_root(index).join(&path), bytes).map_err(failed)?;
    // Canonical from now on, since the folder exists.
    Ok(Stored { root: uploads_root(index).to_string_lossy().into_owned(), path })
}

/// Removes an image that [`keep`] wrote, and nothing else.
pub(super) fn forget(index: &Path, (root, path): &(PathBuf, PathBuf)) {
    if uploads_root(index) == *root && path.components().all(|part| matches!(part, Component::Normal(_))) {
        // Best effort: if it cannot be removed we leak its space, nothing else.
        let _ = kinsight_files::remove_file(&root.join(path));
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if std::fs::metadata(file).is_ok_and(|metadata| metadata.len() == bytes.len() as u64) {
        return Ok(());
    }
    kinsight_files::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    kinsight_files::write(file, bytes)
}

fn failed(error: FileError) -> ServiceError {
    if error.is_full() {
        ServiceError::DiskFull
    } else {
        ServiceError::internal("the image could not be stored", error)
    }
}

/// By the content, as the decoder detects formats.
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
    use std::fs;

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
