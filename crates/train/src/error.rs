//! What can go wrong in training.

use std::path::PathBuf;

use thiserror::Error;

/// Errors of this crate; [`TrainError::hint`] says what the user can do.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting is unknown, contradictory or out of range.
    #[error("{message}")]
    Config {
        /// Which setting, what was found and expected.
        message: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// No batch can be formed.
    #[error("{message}")]
    Sampling {
        /// What is missing.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The run folder cannot be used as asked.
    #[error("run folder {path}: {message}")]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// A file of the run could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file of the run could not be written.
    #[error(transparent)]
    File(#[from] kinsight_files::FileError),
    /// Another process trains into the run folder.
    #[error(transparent)]
    Lock(#[from] kinsight_files::LockError),
    /// The loss stopped being a number.
    #[error("{message}")]
    Diverged {
        /// Where.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A result has no form in JSON.
    #[error("a result of the run cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Backbone, weights or embedding.
    #[error(transparent)]
    Model(#[from] kinsight_model::ModelError),
    /// Data set or images.
    #[error(transparent)]
    Data(#[from] kinsight_data::DataError),
    /// Evaluation.
    #[error(transparent)]
    Retrieval(#[from] kinsight_retrieval::RetrievalError),
}

impl TrainError {
    /// A setting that cannot be used: which one, what was found and expected; and what to do, which may be empty.
    pub fn config(message: impl Into<String>, hint: &str) -> Self {
        Self::Config { message: message.into(), hint: hint.to_string() }
    }

    /// What the user can do about it, if there is anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { hint, .. }
            | Self::Sampling { hint, .. }
            | Self::RunFolder { hint, .. }
            | Self::Diverged { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Self::Model(error) => error.hint(),
            Self::Data(error) => error.hint().map(str::to_string),
            Self::File(error) => error.hint().map(str::to_string),
            Self::Lock(error) => error.hint().map(str::to_string),
            Self::Retrieval(error) => error.hint().map(str::to_string),
            Self::Io { .. } | Self::Json(_) => None,
        }
    }
}
