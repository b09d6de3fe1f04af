//! The work of one request on blocking threads: cancellable, and counted until it has really ended.
//!
//! A blocking thread cannot be stopped from outside. So everything that may take long looks at a [`Cancel`] now and then,
//! which fires at the deadline and when the client is gone; and the request's place is free again when its last piece of
//! work has returned, not when the client was answered. Otherwise clients that give up could fill all threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kinsight_index::Cancel;
use tokio::sync::OwnedSemaphorePermit;

use super::ServiceError;

/// One request's right to work. Clones share it.
#[derive(Clone)]
pub(crate) struct Work {
    cancel: Cancel,
    place: Arc<OwnedSemaphorePermit>,
}

/// Cancels the work when it is dropped: with the request's future, however that ends.
pub(crate) struct Ends(Cancel);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Work {
    /// Begins work that may take up to `limit`.
    pub fn begin(place: OwnedSemaphorePermit, limit: Duration) -> (Self, Ends) {
        let cancel = Cancel::with_deadline(Instant::now() + limit);
        (Self { cancel: cancel.clone(), place: Arc::new(place) }, Ends(cancel))
    }

    /// Runs `task` on a blocking thread.
    ///
    /// # Errors
    /// The task's own; [`ServiceError::TookTooLong`] if the deadline passed before it could begin.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Cancel) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let work = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Taken apart, so that the place is moved here and not only the field that is named.
            let Self { cancel, place } = work;
            let result = if cancel.is_cancelled() { Err(ServiceError::TookTooLong) } else { task(&cancel) };
            drop(place);
            result
        });
        done.await.unwrap_or_else(|error| Err(ServiceError::internal("the server failed on this request", error)))
    }
}
