//! How a request fails, in the service's own terms; `http::failure` gives each its status.

use kinsight_data::{DataError, DecodeFault};
use kinsight_index::{FilterError, IndexError};
use kinsight_model::ModelError;

/// Why the service cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("no collection {name:?}")]
    NoCollection { name: String, there_are: String },
    #[error("no image {id:?} in this collection")]
    NoImage { id: String },
    #[error("the file of this image no longer exists")]
    FileGone,
    #[error("{field} is {found:?}, expected {expected}")]
    Field { field: &'static str, found: String, expected: String },
    #[error("{0}")]
    BadField(String),
    #[error("more than {most} fields")]
    TooManyFields { most: usize },
    #[error("no image in the request, expected {expected}")]
    NoPicture { expected: &'static str },
    #[error("{found} pictures and ids, at most {most}")]
    TooManyImages { found: usize, most: usize },
    #[error("{0}")]
    NoDirection(String),
    #[error("cannot decode the picture: {0}")]
    Undecodable(DecodeFault),
    #[error(
        "decoding {width} x {height} pixels coded like this takes {} MB (allowed: {} MB)",
        .needed_bytes / 1_000_000,
        .most_bytes / 1_000_000
    )]
    DecodeTooLarge { width: u32, height: u32, needed_bytes: u64, most_bytes: u64 },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("{0}")]
    FilterTooCostly(String),
    #[error("{0}")]
    Overloaded(&'static str),
    #[error("the request took too long")]
    TookTooLong,
    #[error("this collection is being written to by another program, or prepared for fast search")]
    Busy,
    #[error("the disk is full; nothing was added")]
    DiskFull,
    #[error("this server does not create collections")]
    CollectionsFixed,
    #[error("collection {name:?} already exists")]
    Exists { name: String },
    #[error("there are {hosted} collections, as many as this server hosts")]
    TooManyCollections { hosted: usize },
    #[error("this collection was not created through the server")]
    NotMadeHere,
    #[error("no model given for the collection")]
    NoModel { there_are: String },
    /// `cause` is for the log: it may name paths of the server's disk.
    #[error("{what}")]
    Internal { what: &'static str, cause: String },
}

impl ServiceError {
    pub fn internal(what: &'static str, cause: impl ToString) -> Self {
        Self::Internal { what, cause: cause.to_string() }
    }

    /// A field whose value is out of range or not what it should be; long values are cut.
    pub fn field(field: &'static str, found: &str, expected: impl Into<String>) -> Self {
        Self::Field { field, found: found.chars().take(100).collect(), expected: expected.into() }
    }

    pub fn no_image(id: &str) -> Self {
        Self::NoImage { id: id.chars().take(64).collect() }
    }
}

impl From<IndexError> for ServiceError {
    fn from(error: IndexError) -> Self {
        let full = error.hint().is_some_and(|hint| hint.starts_with("the disk is full"));
        match error {
            IndexError::Filter(error) => error.into(),
            IndexError::Cancelled => Self::TookTooLong,
            IndexError::NoIndex { .. } | IndexError::Replaced { .. } | IndexError::Migrated { .. } => {
                Self::Overloaded("the collection was removed or replaced while this request was worked on")
            }
            error @ IndexError::FilterTooCostly { .. } => Self::FilterTooCostly(error.to_string()),
            _ if full => Self::DiskFull,
            IndexError::Busy { .. } => Self::Busy,
            _ => Self::internal("the index could not be read or written", error),
        }
    }
}

impl From<DataError> for ServiceError {
    fn from(error: DataError) -> Self {
        Self::internal("the picture could not be prepared", error)
    }
}

impl From<ModelError> for ServiceError {
    fn from(error: ModelError) -> Self {
        Self::internal("the model failed on this request", error)
    }
}
