//! Memory-mapped files: the only place that maps.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut};

use crate::calls;
use crate::double::recording_of;
use crate::durable::DurableFile;
use crate::error::{FileError, Result};

/// A file that is only read.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(&File::open(path).map_err(FileError::at("read", path))?, path)
    }

    /// Maps an open file; `path` is for errors.
    ///
    /// # Errors
    /// [`FileError`]
    #[expect(unsafe_code, reason = "mapping a file is unsafe because another process may shorten it while mapped")]
    pub fn of(file: &File, path: &Path) -> Result<Self> {
        // SAFETY: the mapping is read-only and kinsight never shortens a file in place that readers may have mapped; one
        // cut off by another program meanwhile is the documented hazard of every memory-mapped reader.
        let map = unsafe { Mmap::map(file) }.map_err(FileError::at("map", path))?;
        Ok(Self { map })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// A file that is written through memory; nothing counts before [`flush`](Self::flush) has returned.
#[derive(Debug)]
pub struct MappedFileMut {
    path: PathBuf,
    file: File,
    map: MmapMut,
}

impl MappedFileMut {
    /// Maps an open file whose folder the caller has locked.
    ///
    /// # Errors
    /// [`FileError`]
    #[expect(unsafe_code, reason = "mapping a file is unsafe because another process may shorten it while mapped")]
    pub fn of(file: &DurableFile) -> Result<Self> {
        let path = file.path().to_owned();
        // SAFETY: its owner holds the folder's lock, so no other process of ours writes it, and only bytes as plain numbers
        // are read and written.
        let map = unsafe { MmapMut::map_mut(file.file()) }.map_err(FileError::at("map", &path))?;
        let open = || file.file().try_clone().map_err(FileError::at("map", &path));
        if let Some(recording) = recording_of(&path) {
            recording.lock().map(open()?);
        }
        Ok(Self { file: open()?, path, map })
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn flush(&self) -> Result<()> {
        let flushed = calls::sync(&self.file, &self.path, || self.map.flush());
        flushed.map_err(FileError::at("sync", &self.path))
    }
}

impl Deref for MappedFileMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl DerefMut for MappedFileMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}
