//! Replacing a whole file at once.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::calls;
use crate::error::{FileError, Result};
use crate::folder::{remove_file, rename};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// Replaces the file at `path` by `bytes`; on the disk when it returns.
///
/// # Errors
/// [`FileError`]; an existing file is untouched then, and nothing is left next to it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(FileError::at("write", path))?;
    file.commit()
}

/// A file that appears under its name only when it is complete; dropped before [`commit`](Self::commit), nothing is left.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    partial: PathBuf,
    file: File,
    /// Bytes in the file, and those that follow them.
    written: u64,
    buffer: Vec<u8>,
    committed: bool,
}

impl AtomicFile {
    /// Opens `NAME.partial` in the target's folder.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let file = calls::create(&partial).map_err(FileError::at("create", &partial))?;
        Ok(Self { target: target.to_owned(), partial, file, written: 0, buffer: Vec::new(), committed: false })
    }

    /// Writes `start` over the first bytes: for headers that are known only at the end.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn rewrite_start(&mut self, start: &[u8]) -> Result<()> {
        let written = self.flush().and_then(|()| calls::write_at(&self.file, &self.partial, 0, start));
        written.map_err(FileError::at("write", &self.partial))
    }

    /// Syncs the file, renames it over the target and syncs the folder.
    ///
    /// # Errors
    /// [`FileError`]; an existing target is untouched then, unless only the folder could not be synced.
    pub fn commit(mut self) -> Result<()> {
        let flushed = self.flush().and_then(|()| calls::sync(&self.file, &self.partial, || self.file.sync_all()));
        flushed.map_err(FileError::at("write", &self.partial))?;
        rename(&self.partial, &self.target)?;
        self.committed = true;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() < BUFFER {
            self.buffer.extend_from_slice(bytes);
        } else {
            calls::write_at(&self.file, &self.partial, self.written, bytes)?;
            self.written += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.buffer.is_empty() {
            calls::write_at(&self.file, &self.partial, self.written, &self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // The error that led here is the one to report, not that of tidying up after it.
            let _ = remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_old_or_new_and_nothing_stays_next_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"....new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"....new").unwrap();
        file.rewrite_start(b"head").unwrap();
        file.write_all(b"!").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"headnew!");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
