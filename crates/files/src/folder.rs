//! Changes of folders, durable when they return.

use std::io::ErrorKind;
use std::path::Path;

use crate::calls;
use crate::error::{FileError, Result};

/// Makes a folder and those above it that are missing.
///
/// # Errors
/// [`FileError`]
pub fn create_dir_all(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent()
        && !above.as_os_str().is_empty()
    {
        create_dir_all(above)?;
    }
    match calls::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(FileError::at("create", path)),
    }?;
    sync_folder(parent(path))
}

/// Renames `from` to `to`, replacing a file there; both folders are synced.
///
/// # Errors
/// [`FileError`]
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    calls::rename(from, to).map_err(FileError::at("rename into place", to))?;
    sync_folder(parent(to))?;
    if parent(from) != parent(to) { sync_folder(parent(from)) } else { Ok(()) }
}

/// Removes a file, if it exists.
///
/// # Errors
/// [`FileError`]
pub fn remove_file(path: &Path) -> Result<()> {
    match calls::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(FileError::at("remove", path))?,
    }
    sync_folder(parent(path))
}

/// Removes a folder with everything in it, if it exists.
///
/// # Errors
/// [`FileError`]
pub fn remove_dir_all(path: &Path) -> Result<()> {
    match calls::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(FileError::at("remove", path))?,
    }
    sync_folder(parent(path))
}

/// Makes new, renamed and removed entries of `folder` survive a power cut.
///
/// # Errors
/// [`FileError`]
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Windows opens no folders; there the rename is all there is.
    if cfg!(windows) { Ok(()) } else { calls::sync_folder(folder).map_err(FileError::at("sync", folder)) }
}

/// The folder that `path` is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}
