//! The visual search server: an HTTP API, its web page, and the batching of all requests through shared models.
//!
//! ```text
//! connection -> guards (log, headers, origin, load, keys) -> form (bounded body) -> decode (bounded pixels)
//!     -> inference (one mixed batch of whatever is in flight) -> collection (index) -> answer
//! ```
//!
//! A server hosts collections. Each is an index and the model it was made with; models over one backbone share its tensors
//! and their images share batches. What a client sends is bounded before it is understood, and no path or URL that it
//! names is ever opened: files are reached through the index alone.
//!
//! It does not train, and it does not build indexes from folders: see `kinsight train` and `kinsight index`.

mod api;
mod collection;
mod connection;
mod error;
mod explanation;
mod guard;
mod inference;
mod log;
mod metrics;
mod picture;
mod refresh;
mod server;
mod settings;
mod thumbnails;

#[cfg(test)]
mod tests;

pub use collection::CollectionSpec;
pub use error::ServerError;
pub use guard::Keys;
pub use server::{Server, Stopper};
pub use settings::{Limits, LogFormat, ServerSettings};
