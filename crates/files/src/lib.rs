//! Files that survive: the one place where Kinsight writes.
//!
//! A crash, a full disk or a power cut must leave the old state or the new one, never half of either. That takes the same few
//! steps everywhere: write next to the target, sync the file, rename, sync the folder. They are written down here once, so
//! that every file has the same durability:
//!
//! - [`write()`] and [`AtomicFile`] replace a whole file: readers see the old contents or the new.
//! - [`DurableFile`] is appended to or changed in place; nothing counts before [`DurableFile::sync`] returns.
//! - [`create_dir_all`], [`rename`], [`remove_file`], [`remove_dir_all`] change folders, and sync them.
//! - [`MappedFile`] and [`MappedFileMut`] are memory-mapped.
//! - [`Lock`] keeps a second writer out, and tells it who the first one is.
//! - [`Recording`] is the double that proves it: every call that changes something can be the last one before a crash, or
//!   fail.
//!
//! What it does not do: choose paths, or know formats.

mod atomic;
mod calls;
mod double;
mod durable;
mod error;
mod folder;
mod lock;
mod mapped;

pub use atomic::{AtomicFile, write};
pub use double::{Fail, Loss, Recording, committed};
pub use durable::DurableFile;
pub use error::{FileError, Result};
pub use folder::{create_dir_all, remove_dir_all, remove_file, rename, sync_folder};
pub use lock::{Lock, LockError};
pub use mapped::{MappedFile, MappedFileMut};
