//! The one error type of this crate.

use std::path::PathBuf;

/// What can go wrong while reading, searching or judging embeddings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetrievalError {
    /// The number of values is not a multiple of the width.
    #[error("embeddings: {values} values do not divide into rows of width {dim}")]
    Shape {
        /// How many values were given.
        values: usize,
        /// The width they should fill.
        dim: usize,
    },
    /// A row holds NaN or an infinity.
    #[error("embeddings: row {row}, column {column} is {value}, expected a finite number")]
    NotFinite {
        /// The offending row.
        row: usize,
        /// The offending column.
        column: usize,
        /// What was found there.
        value: f32,
    },
    /// A row of zeros has no direction.
    #[error("embeddings: row {row} is all zeros, so that it has no direction")]
    ZeroRow {
        /// The offending row.
        row: usize,
    },
    /// More rows than a 32-bit index can name.
    #[error("embeddings: {rows} rows, expected at most {limit}")]
    TooManyRows {
        /// How many rows were given.
        rows: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Queries and gallery differ in width.
    #[error("queries have width {queries}, the gallery has width {gallery}")]
    WidthMismatch {
        /// Width of the queries.
        queries: usize,
        /// Width of the gallery.
        gallery: usize,
    },
    /// There is not one label for each row.
    #[error("{what}: {rows} rows but {labels} labels")]
    LabelCount {
        /// Which side: `queries`, `gallery`, ...
        what: &'static str,
        /// How many rows.
        rows: usize,
        /// How many labels.
        labels: usize,
    },
    /// Nothing to search or to judge.
    #[error("{what} is empty")]
    Empty {
        /// Which input.
        what: &'static str,
    },
    /// A setting is out of its range.
    #[error("setting {name} is {found}, expected {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        found: String,
        /// The range.
        expected: &'static str,
    },
    /// The memory setting does not even hold one block of work.
    #[error("max_memory_bytes is {allowed}, this search needs at least {needed}")]
    Memory {
        /// The setting.
        allowed: usize,
        /// The least that works.
        needed: usize,
    },
    /// An operating-system error on a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] kinsight_files::FileError),
    /// Another process works with the same journal.
    #[error(transparent)]
    Lock(#[from] kinsight_files::LockError),
    /// A file is not what it should be.
    #[error("{}: {message}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with what was expected.
        message: String,
    },
    /// An unfinished embedding job of other images, another model or other settings lies where this one would work.
    #[error("{} holds an unfinished job with another model, other images or other settings", path.display())]
    OtherJob {
        /// The folder.
        path: PathBuf,
    },
    /// A row of a file could not be taken as an embedding.
    #[error("{}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: Box<RetrievalError>,
    },
}

impl RetrievalError {
    /// What the user can do about it, if there is anything.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::OtherJob { .. } => "finish it with the command that started it, or start again with --restart",
            Self::Memory { .. } => "raise the bound with --max-memory-mb",
            Self::ZeroRow { .. } | Self::NotFinite { .. } => {
                "embeddings must be finite and not all zero; remove the row, or check how it was computed"
            }
            Self::Content { source, .. } => return source.hint(),
            Self::File(error) => return error.hint(),
            Self::Lock(error) => return error.hint(),
            _ => return None,
        })
    }
}

/// Shorthand used throughout the crate.
pub type Result<T, E = RetrievalError> = std::result::Result<T, E>;
