//! Embedding for many requests at once: whatever is in flight goes through the model together.
//!
//! One thread owns the order of passes. It takes all that is queued, up to a bound, waits a few milliseconds where
//! requests have announced images that they are still decoding, groups the images by backbone and by fine-tuning, and
//! runs each backbone's images as one mixed batch (see [`kinsight_model::hosting`]). A lone request does not wait.

mod batch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use kinsight_model::hosting::{HostedEncoder, SharedBackbone};
use tokio::sync::oneshot;

use super::{Metrics, ServiceError};
use crate::settings::Limits;

/// An encoder and the backbone it shares with others.
#[derive(Debug)]
pub(crate) struct HostedModel {
    pub backbone: Arc<SharedBackbone>,
    pub encoder: HostedEncoder,
}

/// A way to the thread that embeds.
#[derive(Clone, Debug)]
pub(crate) struct Inference {
    queue: SyncSender<Job>,
    announced: Arc<AtomicUsize>,
}

/// Images of one request for one model.
pub(crate) struct Job {
    model: Arc<HostedModel>,
    /// `[3, S, S]` each
    images: Vec<Vec<f32>>,
    /// The embeddings, or why there are none.
    reply: oneshot::Sender<Result<Vec<f32>, String>>,
}

/// Says that images will come soon; while one exists, a pass that is not full waits a little.
#[derive(Debug)]
pub(crate) struct Announcement(Arc<AtomicUsize>);

impl Drop for Announcement {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Inference {
    /// Starts the thread; it ends when the last handle is dropped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(limits: &Limits, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(limits.max_requests.max(1) * 2);
        let announced = Arc::new(AtomicUsize::new(0));
        let worker = Worker {
            jobs,
            announced: announced.clone(),
            max_batch: limits.max_batch.max(1),
            wait: limits.batch_wait,
            metrics,
        };
        std::thread::Builder::new().name("inference".into()).spawn(move || worker.run())?;
        Ok(Self { queue, announced })
    }

    /// To be held from when a request begins to decode until it has submitted.
    pub fn announce(&self) -> Announcement {
        self.announced.fetch_add(1, Ordering::Acquire);
        Announcement(self.announced.clone())
    }

    /// Embeddings of images of `[3, S, S]`, `[n, E]`.
    pub async fn embed(
        &self,
        model: Arc<HostedModel>,
        images: Vec<Vec<f32>>,
        announcement: Announcement,
    ) -> Result<Vec<f32>, ServiceError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.queue.try_send(Job { model, images, reply });
        drop(announcement);
        let embedded = match sent {
            Ok(()) => answer.await,
            Err(TrySendError::Full(_)) => {
                return Err(ServiceError::Overloaded("too many images are waiting for the model"));
            }
            Err(TrySendError::Disconnected(_)) => Ok(Err("its thread has ended".into())),
        };
        let reason = match embedded {
            Ok(Ok(values)) => return Ok(values),
            Ok(Err(reason)) => reason,
            Err(closed) => closed.to_string(),
        };
        Err(ServiceError::internal("the model failed on this request", reason))
    }
}

/// The thread's own state.
struct Worker {
    jobs: Receiver<Job>,
    announced: Arc<AtomicUsize>,
    max_batch: usize,
    wait: Duration,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn run(self) {
        while let Ok(first) = self.jobs.recv() {
            let mut jobs = vec![first];
            self.gather(&mut jobs);
            // A client that has gone away needs no embedding.
            jobs.retain(|job| !job.reply.is_closed());
            if jobs.is_empty() {
                continue;
            }
            let images: usize = jobs.iter().map(|job| job.images.len()).sum();
            let started = Instant::now();
            batch::run(jobs);
            self.metrics.batches.inc();
            self.metrics.batch_images.observe(images as f64);
            self.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
            self.metrics.embedded_images.inc_by(images as u64);
        }
    }

    /// Adds what is queued, and what has been announced and comes in time.
    fn gather(&self, jobs: &mut Vec<Job>) {
        let deadline = Instant::now() + self.wait;
        let mut images: usize = jobs.iter().map(|job| job.images.len()).sum();
        while images < self.max_batch {
            let next = match self.jobs.try_recv() {
                Ok(job) => Ok(job),
                Err(_) if self.announced.load(Ordering::Acquire) == 0 => return,
                Err(_) => self.jobs.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(job) => {
                    images += job.images.len();
                    jobs.push(job);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
