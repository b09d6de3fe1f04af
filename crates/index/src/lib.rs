//! A folder that images can be searched in: embeddings, what is known of each image, and the model they came from.
//!
//! ```text
//! folder of images -> changes since last time -> embedder (the model, behind a trait) -> VectorStore
//!                                                                                        |
//!                                  query vectors, filter, method -> search -> hits -> re-ranking, verdicts
//! ```
//!
//! | to | use |
//! |---|---|
//! | make and open an index, read and search it | [`Index`], [`VectorStore`] |
//! | write to it | [`IndexWriter`] |
//! | say which images a search may return | [`Filter`] |
//! | stop a search | [`Cancel`] |
//! | bring it up to date with the files | [`IndexWriter::sync`] with a [`Listing`] |
//! | move it to another model | [`Migration`] |
//! | search by images | [`ImageQuery`] |
//! | say what a score means | [`Calibration`] |
//!
//! It knows nothing of tensors and models: what turns images into vectors comes in as an [`ImageEmbedder`].

pub mod calibration;
mod cancel;
mod error;
pub mod filter;
mod folder;
pub mod indexing;
mod manifest;
mod migration;
pub mod payload;
mod point;
mod query;
pub mod rerank;
mod store;
mod writer;

pub use calibration::{Calibration, CalibrationRates, Samples, Verdict};
pub use cancel::Cancel;
pub use error::{IndexError, Result};
pub use filter::{Filter, FilterError};
pub use folder::Index;
pub use indexing::{Listing, SyncEvent, SyncReport, content_hash, pixel_hash};
pub use kinsight_data::{Difference, Fingerprint, ImageEmbedder, ModelSource};
pub use manifest::Manifest;
pub use migration::{Migration, MigrationReport, compact};
pub use payload::{Payload, Value};
pub use point::{ParsePointIdError, Point, PointId};
pub use query::{ImageQuery, combine_queries};
pub use rerank::Rerank;
pub use store::{
    Cursor, GraphSettings, GraphStats, Hit, SearchMethod, StoreStats, VectorQuery, VectorStore, uploads_root,
};
pub use writer::{IndexWriter, file_of};
