//! What can go wrong with an index, and what the user can do about it.

use std::path::{Path, PathBuf};

use crate::filter::FilterError;
use kinsight_data::Difference;

/// An error of this crate. [`IndexError::hint`] says what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The folder holds no index.
    #[error("no index in {}", .path.display())]
    NoIndex {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds an index already, or something else.
    #[error("{} {found}, expected an empty or new folder", .path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The index was written by another version of the format.
    #[error("{} has format version {found}, this version of kinsight reads {expected}", .path.display())]
    FormatVersion {
        /// The index.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The one that is read.
        expected: u64,
    },
    /// The index was made with another model.
    #[error("{} was made with another model: {}", .path.display(), listed(.differences))]
    OtherModel {
        /// The index.
        path: PathBuf,
        /// In which respects.
        differences: Vec<Difference>,
    },
    /// Someone else is writing to the index.
    #[error("{} is being written to by {holder}", .path.display())]
    Busy {
        /// The index.
        path: PathBuf,
        /// Who: `process 4711 (kinsight index)`.
        holder: String,
    },
    /// Another index lies at the path now than the one that was opened there.
    #[error("{} was replaced by another index since it was opened", .path.display())]
    Replaced {
        /// The index.
        path: PathBuf,
    },
    /// The index was migrated or compacted since it was opened.
    #[error("{} was migrated or compacted since it was opened", .path.display())]
    Migrated {
        /// The index.
        path: PathBuf,
    },
    /// The images of a folder that is gone are listed below another one.
    #[error(
        "the index has {images} of these images from {}, which is no longer there; indexing {} would add them again",
        .old.display(), .new.display()
    )]
    Moved {
        /// The folder that they were indexed from.
        old: PathBuf,
        /// The folder that was listed.
        new: PathBuf,
        /// How many of them.
        images: usize,
    },
    /// A search was cancelled, or its deadline has passed.
    #[error("the search was cancelled")]
    Cancelled,
    /// A filter would look at too many values.
    #[error("the filter would look at {cost} values, more than the limit of {limit}")]
    FilterTooCostly {
        /// Conditions times rows; an equality counts a hundredth, because it is looked up.
        cost: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", .path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with what was expected.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] kinsight_files::FileError),
    /// The catalog could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    Catalog {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The graph of the approximate search could not be made or read.
    #[error("cannot {action} the graph: {reason}")]
    Graph {
        /// `build`, `read`, `write`.
        action: &'static str,
        /// The library's reason.
        reason: String,
    },
    /// A vector does not fit the index.
    #[error("{what} has width {found}, the index has width {expected}")]
    Width {
        /// Which vector.
        what: String,
        /// Its width.
        found: usize,
        /// The index's.
        expected: usize,
    },
    /// A filter that cannot be understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A request or setting out of range.
    #[error("{name} is {found}, expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// The range.
        expected: String,
    },
    /// Vectors that are no unit embeddings, or a search that cannot be done.
    #[error(transparent)]
    Retrieval(#[from] kinsight_retrieval::RetrievalError),
    /// Images that cannot be listed or read.
    #[error(transparent)]
    Data(#[from] kinsight_data::DataError),
    /// The model failed.
    #[error("cannot embed images: {message}")]
    Embedder {
        /// Its reason.
        message: String,
    },
}

/// Shorthand used throughout the crate.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;

impl IndexError {
    /// What the user can do, as one line for a `hint:` after the message; `None` where there is no advice.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoIndex { .. } => "create one with `kinsight index DIR --index PATH --run RUN`",
            Self::Occupied { .. } => "choose another folder with --index",
            Self::FormatVersion { .. } => {
                "index the images again into a new folder, or use the version of kinsight that wrote it"
            }
            Self::OtherModel { differences, .. } if differences.iter().all(|d| d.what == Difference::PRECISION) => {
                "leave out --precision, --engine and --device to compute as the index was made, or embed it again with `kinsight index migrate`"
            }
            Self::OtherModel { .. } => {
                "use the model the index was made with, or migrate the index to this one with `kinsight index migrate`"
            }
            Self::Busy { .. } => "wait until it is done; searching works meanwhile",
            Self::Replaced { .. } | Self::Migrated { .. } => "open it again",
            Self::Moved { old, new, .. } => {
                let (old, new) = (old.display(), new.display());
                return Some(format!(
                    "if the folder was moved: kinsight index relocate '{old}' '{new}' --index INDEX; if the old images are \
                     gone: kinsight index remove --where \"root = '{old}'\" --index INDEX"
                ));
            }
            Self::FilterTooCostly { .. } => "ask fewer patterns and ranges at once; equality (=, in) costs least",
            Self::Corrupt { .. } => "`kinsight index check` lists the damage; index the images again into a new folder",
            Self::File(error) => return error.hint().map(str::to_owned),
            Self::Catalog { source, .. } if is_full_catalog(source) => {
                "the disk is full: free some space and run the same command again; nothing indexed before is lost"
            }
            Self::Data(error) => return error.hint().map(str::to_owned),
            _ => return None,
        };
        Some(hint.to_owned())
    }

    pub(crate) fn setting(name: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { name, found: found.to_string(), expected: expected.into() }
    }

    /// For `map_err`: SQLite's error while doing `action` to `path`.
    pub(crate) fn catalog(action: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + Copy {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::Cancelled,
            _ => Self::Catalog { action, path: path.to_owned(), source },
        }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.into() }
    }
}

fn is_full_catalog(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    // A file-size limit or a quota reaches SQLite as a failed write rather than as a full disk.
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}
