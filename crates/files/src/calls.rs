//! The calls that change files and folders. All of them pass through here, where a [`Recording`](crate::Recording) sees them.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::Path;

use crate::double::{Call, Change, observe, recording_of};

/// Makes an empty file, or empties the one there.
pub(crate) fn create(path: &Path) -> Result<File> {
    let existed = path.exists();
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
    observe(path, open, |state, file| {
        if existed {
            return Some(Call::Change(Change::Cut { node: state.node_of(file), len: 0 }));
        }
        let node = state.new_file(file);
        state.link(path, node)
    })
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(mut file: &File, path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut write = |bytes: &[u8]| file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(bytes));
    let Some(recording) = recording_of(path) else { return write(bytes) };
    let mut state = recording.lock();
    let (bytes, failure) = match state.begin() {
        Ok(()) => (bytes, Ok(())),
        // A full disk takes what there is room for.
        Err(full) if full.kind() == ErrorKind::StorageFull => (&bytes[..bytes.len() / 2], Err(full)),
        Err(error) => return Err(error),
    };
    write(bytes)?;
    let node = state.node_of(file);
    state.finish(Call::Change(Change::Write { node, offset: offset as usize, bytes: bytes.to_vec() }));
    failure
}

/// Cuts a file off, or extends it with zeros.
pub(crate) fn set_len(file: &File, path: &Path, len: u64) -> Result<()> {
    let cut = |node| Call::Change(Change::Cut { node, len: len as usize });
    observe(path, || file.set_len(len), |state, ()| Some(cut(state.node_of(file))))
}

/// Waits until what `sync` brings to the disk, all changes of the open file, is there.
pub(crate) fn sync(file: &File, path: &Path, sync: impl FnOnce() -> Result<()>) -> Result<()> {
    observe(path, sync, |state, ()| Some(Call::Sync(state.node_of(file))))
}

/// Makes one folder.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    observe(
        path,
        || fs::create_dir(path),
        |state, ()| {
            let node = state.new_folder();
            state.link(path, node)
        },
    )
}

/// Renames, replacing a file at `to`.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    observe(to, || fs::rename(from, to), |state, ()| state.moved(from, to))
}

/// Removes a file.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    observe(path, || fs::remove_file(path), |state, ()| state.unlink(path))
}

/// Removes a folder with all that is in it.
pub(crate) fn remove_dir_all(path: &Path) -> Result<()> {
    if recording_of(path).is_none() {
        return fs::remove_dir_all(path);
    }
    // Removal by removal, since a crash in between leaves some of them.
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { remove_dir_all(&entry.path())? } else { remove_file(&entry.path())? }
    }
    observe(path, || fs::remove_dir(path), |state, ()| state.unlink(path))
}

/// Brings the entries of `folder` to the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let sync = || match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems sync no folders; there the rename is all there is.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        synced => synced,
    };
    observe(folder, sync, |state, ()| state.folder(folder).map(Call::Sync))
}

/// Identifies an open file independently of its name.
#[cfg(unix)]
pub(crate) fn identity(file: &File) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map(|data| data.ino())
}

/// Elsewhere there is none, and nothing can be recorded.
#[cfg(not(unix))]
pub(crate) fn identity(_file: &File) -> Result<u64> {
    Err(ErrorKind::Unsupported.into())
}
