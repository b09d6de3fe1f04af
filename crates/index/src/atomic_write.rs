//! Small files that are either the old or the new one, whatever happens while they are written.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::{Result, io_error};

/// Writes `bytes` beside `path`, waits for the disk, and renames.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(io_error("create", &beside))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &beside));
    let placed = written.and_then(|()| std::fs::rename(&beside, path).map_err(io_error("rename into place", path)));
    if placed.is_err() {
        // The error that led here is the one to report, not that of tidying up after it.
        let _ = std::fs::remove_file(&beside);
        return placed;
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and new files in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some systems cannot sync a folder; there the rename is all there is.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        result => result.map_err(io_error("sync", folder)),
    }
}
