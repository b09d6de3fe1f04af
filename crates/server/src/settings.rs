//! What a server is told at its start: address, keys, limits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kinsight_model::ComputeChoice;

use crate::service::Keys;

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address to listen on; port 0 takes any free one.
    pub address: SocketAddr,
    /// Who may read and who may write.
    pub keys: Keys,
    /// What one request, and all together, may use.
    pub limits: Limits,
    /// Anyone who can reach the address may read without a key.
    pub public: bool,
    /// Folder in which clients make collections, each in a folder of its name; `None` lets them make none.
    pub collections: Option<PathBuf>,
    /// How the models of the collections in that folder are asked to compute.
    pub compute: ComputeChoice,
}

/// Bounds on what clients can make the server use. Each has a default that suits one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest width times height of an uploaded picture, as its header declares it.
    pub max_pixels: u64,
    /// Most pictures and ids in one request.
    pub max_images: usize,
    /// Most results of one search.
    pub max_results: usize,
    /// Most collections that a client's new one may bring the server to.
    pub max_collections: usize,
    /// Requests worked on at once; more are answered 503.
    pub max_requests: usize,
    /// Open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Memory of what all requests have uploaded and of the pixels made from it for the model, in bytes; a body that does not
    /// fit is answered 503.
    pub max_upload_memory_bytes: usize,
    /// Memory of images while they are decoded, in bytes; an image waits until it fits.
    pub max_decode_memory_bytes: usize,
    /// Memory of cached thumbnails, in bytes.
    pub thumbnail_cache_bytes: usize,
    /// Images of one pass through the model.
    pub max_batch: usize,
    /// How long a pass waits for images whose decoding has begun.
    pub batch_wait: Duration,
    /// Time to send the headers of a request.
    pub header_timeout: Duration,
    /// Time to send the whole body of a request.
    pub body_timeout: Duration,
    /// Time to answer a request once its body is there.
    pub work_timeout: Duration,
    /// Time without progress after which a client that does not read its answer is cut off.
    pub write_timeout: Duration,
    /// Time that requests in progress get when the server is asked to stop.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 20 << 20,
            max_pixels: 50_000_000,
            max_images: 16,
            max_results: 500,
            max_collections: 1000,
            max_requests: 64,
            max_connections: 512,
            max_upload_memory_bytes: 256 << 20,
            // One image of 50 million pixels of 16 bits and alpha, and small ones next to it.
            max_decode_memory_bytes: 704 << 20,
            thumbnail_cache_bytes: 64 << 20,
            max_batch: 32,
            batch_wait: Duration::from_millis(4),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            work_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(20),
        }
    }
}
