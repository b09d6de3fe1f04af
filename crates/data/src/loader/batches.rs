//! The consumer's end: batches in order, and the threads behind them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use super::Shared;
use super::plan::Plan;
use super::worker::{self, Loaded};
use crate::error::DataError;
use crate::transform::Scratch;

/// Preprocessed images and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Position of the batch in its plan, from 0.
    pub number: usize,
    /// Normalized pixels, `[B, 3, side_px, side_px]`, row-major.
    pub images: Vec<f32>,
    /// Class of each image, `[B]`.
    pub labels: Vec<u32>,
    /// Position of each image in the dataset, `[B]`; that of the replacement for an unreadable one.
    pub indices: Vec<usize>,
    /// Height and width of the images.
    pub side_px: u32,
}

impl Batch {
    /// Number of images, B; skipped ones do not count.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether every image was skipped.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Shape of `images`: `[B, 3, side, side]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), 3, self.side_px as usize, self.side_px as usize]
    }
}

/// The batches of a plan, in order, from [`Loader::batches`](super::Loader::batches). It ends after an error.
///
/// # Errors
/// [`DataError::TooManyUnreadable`], [`DataError::NoReadableImage`] and, if a thread dies, [`DataError::Thread`].
#[derive(Debug)]
pub struct Batches {
    shared: Arc<Shared>,
    /// One queue per worker; batch `n`, counted from the first loaded, comes through queue `n mod workers`.
    queues: Vec<Receiver<Loaded>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    first: usize,
    next: usize,
    end: usize,
}

impl Batches {
    pub(super) fn start(shared: Arc<Shared>, plan: Plan) -> Result<Self, DataError> {
        let numbers = plan.numbers();
        let workers = shared.workers().min(numbers.len());
        let waiting = shared.options.prefetch_batches.div_ceil(workers.max(1)).max(1);
        let plan = Arc::new(plan);
        let mut batches = Self {
            shared,
            queues: Vec::with_capacity(workers),
            threads: Vec::with_capacity(workers),
            stop: Arc::new(AtomicBool::new(false)),
            first: numbers.start,
            next: numbers.start,
            end: numbers.end,
        };
        for worker in 0..workers {
            let (sender, queue) = sync_channel(waiting);
            let (shared, plan) = (Arc::clone(&batches.shared), Arc::clone(&plan));
            let stop = Arc::clone(&batches.stop);
            let own = (numbers.start + worker..numbers.end).step_by(workers);
            let thread = thread::Builder::new()
                .name(format!("image-loader-{worker}"))
                .spawn(move || work(&shared, &plan, own, &stop, &sender))
                .map_err(|error| DataError::Thread { reason: format!("cannot be started: {error}") })?;
            batches.queues.push(queue);
            batches.threads.push(thread);
        }
        Ok(batches)
    }

    /// Takes the next batch from its worker and counts its unreadable images.
    fn receive(&self) -> Result<Batch, DataError> {
        let queue = &self.queues[(self.next - self.first) % self.queues.len()];
        let loaded = queue
            .recv()
            .map_err(|_| DataError::Thread { reason: format!("ended before batch {} was ready", self.next) })?;
        let mut ledger = self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.add(loaded.faults, &self.shared.dataset, self.shared.max_unreadable)?;
        loaded.batch
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Closing a queue wakes a worker that waits for room in it.
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A panic was reported as a lost worker already.
            let _ = thread.join();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let batch = self.receive();
        self.next += 1;
        if batch.is_err() {
            self.end = self.next;
            self.stop();
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends it early.
        (0, Some(self.end - self.next))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Loads a worker's batches in turn until they are done or the consumer is gone.
fn work(shared: &Shared, plan: &Plan, own: impl Iterator<Item = usize>, stop: &AtomicBool, queue: &SyncSender<Loaded>) {
    let mut scratch = Scratch::new();
    for number in own {
        let Some(loaded) = worker::load(shared, plan, number, &mut scratch, stop) else { return };
        if queue.send(loaded).is_err() {
            return;
        }
    }
}
