//! Replacing a whole file at once.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{FileError, Result};
use crate::folder::rename;

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
    /// `None` once the file is in its place.
    writer: Option<BufWriter<File>>,
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
        let file = File::create(&partial).map_err(FileError::at("create", &partial))?;
        Ok(Self { target: target.to_owned(), partial, writer: Some(BufWriter::with_capacity(1 << 18, file)) })
    }

    /// Writes `start` over the first bytes: for headers that are known only at the end.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn rewrite_start(&mut self, start: &[u8]) -> Result<()> {
        let writer = self.writer();
        let written = writer.seek(SeekFrom::Start(0)).and_then(|_| writer.write_all(start));
        let written = written.and_then(|()| writer.seek(SeekFrom::End(0)));
        written.map(|_| ()).map_err(FileError::at("write", &self.partial))
    }

    /// Syncs the file, renames it over the target and syncs the folder.
    ///
    /// # Errors
    /// [`FileError`]; an existing target is untouched then.
    pub fn commit(mut self) -> Result<()> {
        let flushed = self.writer().flush().and_then(|()| self.writer().get_ref().sync_all());
        flushed.map_err(FileError::at("write", &self.partial))?;
        rename(&self.partial, &self.target)?;
        self.writer = None;
        Ok(())
    }

    fn writer(&mut self) -> &mut BufWriter<File> {
        match &mut self.writer {
            Some(writer) => writer,
            None => unreachable!("the writer leaves only with the file itself"),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer().flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.writer.is_some() {
            // The error that led here is the one to report, not that of tidying up after it.
            let _ = std::fs::remove_file(&self.partial);
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
