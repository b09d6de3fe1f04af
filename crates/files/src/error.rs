//! What went wrong with a file.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// Result of an operation on files.
pub type Result<T> = std::result::Result<T, FileError>;

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried: `read`, `write`, `create`, ...
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's reason.
    pub source: Error,
}

impl FileError {
    /// For `map_err`: the operating system's error while doing `action` to `path`.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(Error) -> Self + Copy {
        move |source| Self { action, path: path.to_owned(), source }
    }

    /// Whether the disk, a quota or a size limit is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded)
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        if self.is_full() {
            return Some("the disk is full: free some space and run the command again; nothing saved before is lost");
        }
        match self.source.kind() {
            ErrorKind::PermissionDenied => Some("choose a folder that you may write to"),
            ErrorKind::ReadOnlyFilesystem => Some("the file system is read-only: choose another folder"),
            _ => None,
        }
    }
}
