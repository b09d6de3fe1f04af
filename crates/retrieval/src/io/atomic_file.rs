//! A file that appears under its name only when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::io_error;
use crate::error::Result;

/// Writes beside the target and renames at the end; dropped before that, nothing is left.
pub(super) struct AtomicFile {
    target: PathBuf,
    beside: PathBuf,
    /// None once the file is in its place.
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Opens `NAME.partial` in the target's folder.
    pub fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let beside = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside);
        let writer = Some(BufWriter::with_capacity(1 << 20, file.map_err(io_error("create", &beside))?));
        Ok(Self { target: target.to_owned(), beside, writer })
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.writer().write_all(bytes);
        written.map_err(io_error("write", &self.beside))
    }

    /// Writes `start` over the first bytes, and puts the file in its place once it is on the disk.
    pub fn finish(mut self, start: &[u8]) -> Result<()> {
        let Some(mut writer) = self.writer.take() else { unreachable!("finishing consumes the file") };
        let mut complete = || {
            if !start.is_empty() {
                writer.seek(SeekFrom::Start(0))?;
                writer.write_all(start)?;
            }
            writer.flush()?;
            writer.get_ref().sync_all()
        };
        let written = complete().map_err(io_error("write", &self.beside));
        let placed = written.and_then(|()| {
            std::fs::rename(&self.beside, &self.target).map_err(io_error("rename into place", &self.target))
        });
        if placed.is_err() {
            remove_quietly(&self.beside);
        }
        placed
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
            remove_quietly(&self.beside);
        }
    }
}

/// The error that led here is the one to report, not that of tidying up after it.
fn remove_quietly(path: &Path) {
    let _ = std::fs::remove_file(path);
}
