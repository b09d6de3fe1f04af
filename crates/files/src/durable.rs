//! Files that are appended to or changed in place.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::calls;
use crate::error::{FileError, Result};
use crate::folder::{parent, sync_folder};

/// An open file whose writes count only once [`sync`](Self::sync) has returned.
///
/// The descriptor stays with its owner: a file that is replaced or removed at the path is never written to by mistake.
#[derive(Debug)]
pub struct DurableFile {
    path: PathBuf,
    file: File,
}

impl DurableFile {
    /// Makes an empty file, or empties the one there.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create(path: &Path) -> Result<Self> {
        let file = calls::create(path).map_err(FileError::at("create", path))?;
        sync_folder(parent(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Opens a file to read and write, making it if there is none.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open_or_create(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Self::create(path);
        }
        Self::open(path)
    }

    /// Opens an existing file to read and write.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(FileError::at("open", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn len(&self) -> Result<u64> {
        self.file.metadata().map(|data| data.len()).map_err(FileError::at("read", &self.path))
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Everything in the file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(FileError::at("read", &self.path))
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.len()?;
        self.write_at(end, bytes)
    }

    /// Writes at `offset`.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        calls::write_at(&self.file, &self.path, offset, bytes).map_err(FileError::at("write", &self.path))
    }

    /// Cuts the file off, or extends it with zeros.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn set_len(&mut self, bytes: u64) -> Result<()> {
        calls::set_len(&self.file, &self.path, bytes).map_err(FileError::at("cut", &self.path))
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn sync(&mut self) -> Result<()> {
        let synced = calls::sync(&self.file, &self.path, || self.file.sync_data());
        synced.map_err(FileError::at("sync", &self.path))
    }

    /// The descriptor, to map or to read.
    pub fn file(&self) -> &File {
        &self.file
    }
}
