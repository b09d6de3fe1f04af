//! The double of the file layer: it loses, tears and fails what this crate writes, to prove what survives.
//!
//! A [`Recording`] takes the tree under a folder as it is, and logs every call of this crate that changes something there.
//! [`Recording::crash_after`] then writes to another folder what a machine could show after a crash at that moment:
//!
//! - contents of a file last once the file is synced; before that each sector may or may not be there;
//! - a new, renamed or removed entry lasts once its *folder* is synced; before that it may or may not be there.
//!
//! [`Recording::fail`] makes a call fail instead. So a test can stop after every single call, with every loss, and see
//! what the next start finds. Files written by other means are in no crash: such a test finds them missing.
//!
//! Two claims are taken from others. [`committed`] logs a transaction of a foreign engine (SQLite) as one step that lasts
//! whole or not at all: that is the engine's promise, and what is tested here is the order between its commits and our
//! files. That a renaming is atomic is the file system's.
//!
//! Recordings watch this process alone, and cost one atomic load a call when there is none.

mod crash;
mod disk;
mod state;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::crash::Loss;
pub(crate) use self::disk::Change;
pub(crate) use self::state::{Call, State};
use crate::error::{FileError, Result};
use crate::folder::parent;

/// Recordings that are on; read before anything else.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static RECORDINGS: Mutex<Vec<(PathBuf, Arc<Shared>)>> = Mutex::new(Vec::new());

/// Whether only one call fails or all from it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// The one call: a hiccup.
    Once,
    /// That call and all after it: a disk that stays full.
    Onwards,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    call: usize,
    kind: ErrorKind,
    fail: Fail,
}

impl Failure {
    fn strikes(&self, call: usize) -> bool {
        call == self.call || (call > self.call && self.fail == Fail::Onwards)
    }
}

/// A recording's state, for the threads that write under its root.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of all changes under a folder, until it is dropped.
#[derive(Debug)]
pub struct Recording {
    shared: Arc<Shared>,
}

impl Recording {
    /// Starts logging; what is under `root` now counts as on the disk.
    ///
    /// # Errors
    /// [`FileError`] if the tree cannot be read.
    pub fn start(root: &Path) -> Result<Self> {
        Self::with(root, None)
    }

    /// Starts logging, and fails the call after `calls` calls with `kind`. A write that fails with
    /// [`ErrorKind::StorageFull`] writes its first half.
    ///
    /// # Errors
    /// [`FileError`] if the tree cannot be read.
    pub fn fail(root: &Path, calls: usize, kind: ErrorKind, fail: Fail) -> Result<Self> {
        Self::with(root, Some(Failure { call: calls, kind, fail }))
    }

    fn with(root: &Path, failure: Option<Failure>) -> Result<Self> {
        let state = State::new(root, failure).map_err(FileError::at("record", root))?;
        let root = state.root.clone();
        let shared = Arc::new(Shared(Mutex::new(state)));
        recordings().push((root, Arc::clone(&shared)));
        ACTIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Self { shared })
    }

    /// Calls so far, those that failed included.
    pub fn calls(&self) -> usize {
        self.shared.lock().calls()
    }

    /// Replaces `target` by what the disk could hold after a crash when `calls` calls were done and the next one not.
    ///
    /// # Errors
    /// [`FileError`] if `target` cannot be written.
    pub fn crash_after(&self, calls: usize, loss: Loss, target: &Path) -> Result<()> {
        let mut state = self.shared.lock();
        state.observe_maps().map_err(FileError::at("record", target))?;
        let (mut disk, pending) = state.replay(calls);
        loss.keep(&mut disk, &pending);
        if target.exists() {
            std::fs::remove_dir_all(target).map_err(FileError::at("remove", target))?;
        }
        disk.write_to(target).map_err(FileError::at("write", target))
    }

    /// Crashes before the first call, between all, and after the last, under every [`Loss`] with `seeds` seeds; `check`
    /// is told which of them `target` holds.
    ///
    /// # Errors
    /// [`FileError`] if `target` cannot be written.
    pub fn every_crash(&self, seeds: u64, target: &Path, mut check: impl FnMut(usize, Loss)) -> Result<()> {
        for calls in 0..=self.calls() {
            for loss in [Loss::Nothing, Loss::Unsynced].into_iter().chain((0..seeds).map(Loss::Mixed)) {
                self.crash_after(calls, loss, target)?;
                check(calls, loss);
            }
        }
        Ok(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        recordings().retain(|(_, shared)| !Arc::ptr_eq(shared, &self.shared));
        ACTIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells a recording that a foreign engine has just committed, `paths` being all files that its state is in.
///
/// # Errors
/// [`FileError`] if one of them cannot be read; never without a recording.
pub fn committed(paths: &[&Path]) -> Result<()> {
    let Some((path, recording)) = paths.iter().find_map(|path| Some((path, recording_of(path)?))) else {
        return Ok(());
    };
    recording.lock().committed(paths).map_err(FileError::at("record", path))
}

/// Does `perform`, and logs what `call` says it did to `path`.
pub(crate) fn observe<T>(
    path: &Path,
    perform: impl FnOnce() -> std::io::Result<T>,
    call: impl FnOnce(&mut State, &T) -> Option<Call>,
) -> std::io::Result<T> {
    let Some(recording) = recording_of(path) else { return perform() };
    let mut state = recording.lock();
    state.begin()?;
    let done = perform()?;
    if let Some(call) = call(&mut state, &done) {
        state.finish(call);
    }
    Ok(done)
}

/// The recording that watches `path`.
pub(crate) fn recording_of(path: &Path) -> Option<Arc<Shared>> {
    if ACTIVE.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let above = parent(path).canonicalize().unwrap_or_else(|_| parent(path).to_owned());
    let path = path.file_name().map_or(above.clone(), |name| above.join(name));
    recordings().iter().find(|(root, _)| path.starts_with(root)).map(|(_, shared)| Arc::clone(shared))
}

fn recordings() -> MutexGuard<'static, Vec<(PathBuf, Arc<Shared>)>> {
    RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
