//! Stopping work whose result is not wanted any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::{IndexError, Result};

/// A flag and perhaps a deadline that searching looks at every few thousand rows. Clones share the flag.
///
/// # Example
/// ```
/// use kinsight_index::Cancel;
///
/// let cancel = Cancel::new();
/// let seen_by_the_worker = cancel.clone();
/// cancel.cancel();
/// assert!(seen_by_the_worker.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    cancelled: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// Never, unless [`cancel`](Self::cancel) is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// At `deadline`, or when [`cancel`](Self::cancel) is called before.
    pub fn with_deadline(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the work is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(IndexError::Cancelled) } else { Ok(()) }
    }
}
