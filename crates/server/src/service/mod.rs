//! What the server does, without HTTP: collections, uploads, embedding, searching, explaining, upkeep.
//!
//! Nothing here knows of requests, statuses or JSON: callers hand over bytes and fields and get values or a
//! [`ServiceError`]. All of it is bounded: [`Budget`] by the bytes that uploads hold, [`Decoder`] by those of decoded pixels,
//! [`Work`] by how many requests are worked on and for how long.

mod adding;
mod budget;
pub(crate) mod collection;
mod error;
mod explain;
pub(crate) mod hosted;
mod inference;
mod keys;
pub(crate) mod maintenance;
mod metrics;
mod picture;
mod search;
mod thumbnails;
mod work;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

pub(crate) use budget::{Budget, Held};
pub(crate) use collection::{Collection, Thresholds};
pub(crate) use error::ServiceError;
pub(crate) use explain::{ExplainQuery, Explained};
pub(crate) use hosted::Hosted;
pub(crate) use inference::Inference;
pub use keys::Keys;
pub(crate) use keys::{Access, KeyError};
pub(crate) use metrics::Metrics;
pub(crate) use picture::{Decoder, Source, parse_crop, prepare};
pub(crate) use search::{ClassVote, Found, Query, Question, classes};
pub(crate) use thumbnails::Thumbnails;
pub(crate) use work::Work;

use crate::settings::Limits;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    pub limits: Limits,
    /// A collection is replaced as a whole when its index was migrated; requests keep the one they began with.
    pub collections: Hosted,
    pub inference: Inference,
    pub decoder: Decoder,
    pub thumbnails: Thumbnails,
    pub uploads: Budget,
    pub metrics: Arc<Metrics>,
    /// Explanations computed at once: each takes all cores for a moment.
    explaining: Arc<Semaphore>,
    /// Requests worked on at once.
    places: Arc<Semaphore>,
}

impl Service {
    /// Starts the thread that embeds.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(collections: Vec<Collection>, folder: Option<PathBuf>, limits: Limits) -> std::io::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        Ok(Self {
            collections: Hosted::new(collections, folder, limits.max_collections),
            inference: Inference::start(&limits, metrics.clone())?,
            decoder: Decoder::new(&limits),
            thumbnails: Thumbnails::new(limits.thumbnail_cache_bytes),
            uploads: Budget::new(limits.max_upload_memory_bytes),
            metrics,
            explaining: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(limits.max_requests.max(1))),
            limits,
        })
    }

    /// Does one request's work: takes one of the places, and ends it at the deadline or when the caller drops the future.
    ///
    /// # Errors
    /// [`ServiceError::Overloaded`] without a place, [`ServiceError::TookTooLong`] at the deadline, or the work's own.
    pub async fn work<T, F>(&self, task: impl FnOnce(Work) -> F) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            self.metrics.refused_for_load.inc();
            ServiceError::Overloaded("too many requests are in progress")
        })?;
        let (work, _ends) = Work::begin(place, self.limits.work_timeout);
        // A moment later than the work's own deadline, which says what took the time.
        let limit = self.limits.work_timeout + Duration::from_millis(200);
        tokio::time::timeout(limit, task(work)).await.unwrap_or(Err(ServiceError::TookTooLong))
    }

    /// Largest file of a stored image that is read; such files were not sent by clients alone.
    fn max_file_bytes(&self) -> usize {
        self.limits.max_body_bytes.saturating_mul(8)
    }
}
