//! One writer at a time, in all processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::calls::identity;
use crate::error::FileError;

/// Someone else writes, or the lock itself cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, holds it.
    #[error("{} is in use by {holder}", path.display())]
    Held {
        /// What is locked.
        path: PathBuf,
        /// Who holds it: `process 4711 (kinsight train)`.
        holder: String,
    },
    /// The lock file cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
}

impl LockError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Held { .. } => Some("wait until that command is done, or stop it"),
            Self::File(error) => error.hint(),
        }
    }
}

/// Held until it is dropped; the operating system releases it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder` (the file `lock` in it), or says who has it. `purpose` is what to tell others:
    /// `kinsight train`.
    ///
    /// # Errors
    /// [`LockError::Held`] at once if it is taken; [`LockError::File`].
    pub fn acquire(folder: &Path, purpose: &str) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open().map_err(FileError::at("open", &path))?;
        match file.try_lock() {
            // The holder before may have removed the folder in between: then this is the lock of a file that is gone.
            Ok(()) if identity(&file).ok() != open().and_then(|now| identity(&now)).ok() => {
                return Self::acquire(folder, purpose);
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Empty for the moment between taking the lock and writing the name.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(LockError::Held { path: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(FileError::at("lock", &path)(source).into()),
        }
        let holder = format!("process {} ({purpose})", std::process::id());
        let named = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        // Best effort: on a full disk the lock holds, and the message cannot name its holder.
        let _ = named;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::acquire(folder.path(), "kinsight train").unwrap();
        let error = Lock::acquire(folder.path(), "kinsight train").unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (kinsight train)", std::process::id())), "{error}");
        drop(first);
        Lock::acquire(folder.path(), "kinsight compare").unwrap();
    }
}
