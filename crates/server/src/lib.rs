//! The visual search server: an HTTP API, its web page, and the batching of all requests through shared models.
//!
//! ```text
//! http:    connection -> guards (headers, log, origin, keys) -> form (bounded body, typed)
//! service:     -> work (a place, a deadline) -> decoder (bounded pixels) -> inference (one mixed batch of whatever is in
//!              flight) -> collection (index)
//! http:        -> typed answer, or the status of a ServiceError
//! ```
//!
//! A server hosts collections. Each is an index and the model it was made with; models over one backbone share its tensors
//! and their images share batches. What a client sends is bounded before it is understood, and no path or URL that it
//! names is ever opened: files are reached through the index only.
//!
//! It does not train, and it does not build indexes from folders: see `kinsight train` and `kinsight index`.

mod error;
mod explanation;
mod http;
mod log;
mod server;
mod service;
mod settings;

#[cfg(test)]
mod tests;

pub use error::ServerError;
pub use log::{LogFormat, start_log};
pub use server::{Server, Stopper};
pub use service::Keys;
pub use service::collection::CollectionSpec;
pub use settings::{Limits, ServerSettings};
