//! Batches of preprocessed pictures, made ahead of time on worker threads.
//!
//! A [`Loader`] belongs to a dataset for as long as it is used and keeps what outlives an epoch: the cache of decoded
//! pictures and the report of unreadable ones. [`Loader::batches`] starts threads for one [`Plan`] and yields its
//! batches in order.
//!
//! The result is a function of dataset, settings and plan alone. Batch `n` is made by worker `n mod workers` and waits in
//! that worker's own queue, and the random numbers of a picture come from its place in the plan; so the number of
//! workers, their speed, the cache and the batch a run is resumed at change nothing.

mod batches;
mod cache;
mod plan;
mod report;
mod worker;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

pub use batches::{Batch, Batches};
pub use plan::{Augment, Plan};
pub use report::UnreadableReport;

use self::cache::ImageCache;
use self::report::Ledger;
use crate::dataset::Dataset;
use crate::decode::DecodeLimits;
use crate::error::DataError;
use crate::preprocess::Preprocess;
use crate::transform::{EvalTransform, TrainTransform};

/// What to do about a picture that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Put the next readable picture of the same class in its place, so that batches keep their make-up: for training.
    Replace,
    /// Leave its row out: for evaluation, where a stand-in would be counted twice.
    Skip,
}

/// Settings of a [`Loader`]. None but `unreadable` and `min_crop_area` changes what a batch holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderOptions {
    /// Threads that decode; 0 means one for each core.
    pub workers: usize,
    /// Finished batches that may wait, over all workers; at least one for each. Memory is bounded by
    /// `prefetch_batches` plus one batch in the making for each worker.
    pub prefetch_batches: usize,
    /// What to do about unreadable pictures.
    pub unreadable: Unreadable,
    /// The share of the dataset that may be unreadable, from 0 to 1, before loading stops with an error.
    pub max_unreadable_fraction: f64,
    /// Decoded pictures are kept from one use to the next as long as they fit into this many bytes; 0 keeps none.
    pub cache_bytes: u64,
    /// The smallest share of a picture that a training crop shows; torchvision's default is 0.08.
    pub min_crop_area: f64,
    /// What a decoder may spend on one picture.
    pub limits: DecodeLimits,
}

impl LoaderOptions {
    /// Settings for training: unreadable pictures are replaced.
    pub fn train() -> Self {
        Self {
            workers: 0,
            prefetch_batches: 2,
            unreadable: Unreadable::Replace,
            max_unreadable_fraction: 0.01,
            cache_bytes: 0,
            min_crop_area: 0.08,
            limits: DecodeLimits::default(),
        }
    }

    /// Settings for evaluation: unreadable pictures are left out.
    pub fn eval() -> Self {
        Self { unreadable: Unreadable::Skip, ..Self::train() }
    }
}

/// Makes batches of a dataset.
///
/// # Example
/// ```no_run
/// use std::{path::Path, sync::Arc};
/// use kinsight_data::{Dataset, Loader, LoaderOptions, Plan, Preprocess};
///
/// # fn main() -> Result<(), kinsight_data::DataError> {
/// let dataset = Arc::new(Dataset::from_folder(Path::new("photos"))?);
/// let loader = Loader::new(dataset.clone(), Preprocess::default(), LoaderOptions::eval())?;
/// for batch in loader.batches(Plan::eval(dataset.len(), 64))? {
///     let batch = batch?;
///     assert_eq!(batch.images.len(), batch.shape().iter().product::<usize>());
/// }
/// for (path, reason) in loader.unreadable().files {
///     eprintln!("warning: {}: {reason}", path.display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
}

/// What the loader, its iterators and their threads have in common.
#[derive(Debug)]
struct Shared {
    dataset: Arc<Dataset>,
    items_by_class: Vec<Vec<usize>>,
    options: LoaderOptions,
    train: TrainTransform,
    eval: EvalTransform,
    cache: ImageCache,
    ledger: Mutex<Ledger>,
}

impl Loader {
    /// A loader of `dataset`. Starts no threads yet.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] for settings out of range.
    pub fn new(dataset: Arc<Dataset>, preprocess: Preprocess, options: LoaderOptions) -> Result<Self, DataError> {
        if !(0.0..=1.0).contains(&options.max_unreadable_fraction) {
            return Err(DataError::LoaderOption {
                field: "max_unreadable_fraction",
                expected: "0 to 1",
                found: options.max_unreadable_fraction.to_string(),
            });
        }
        let allowed = (options.max_unreadable_fraction * dataset.len() as f64).floor() as usize;
        Ok(Self {
            shared: Arc::new(Shared {
                items_by_class: dataset.items_by_class(),
                train: TrainTransform::new(preprocess)?.with_min_area(options.min_crop_area)?,
                eval: EvalTransform::new(preprocess)?,
                cache: ImageCache::new(dataset.len(), options.cache_bytes),
                ledger: Mutex::new(Ledger::new(dataset.len(), allowed)),
                dataset,
                options,
            }),
        })
    }

    /// The dataset.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.shared.dataset
    }

    /// The preprocessing.
    pub fn preprocess(&self) -> &Preprocess {
        self.shared.eval.preprocess()
    }

    /// Starts the threads for `plan` and yields its batches in order. Dropping the iterator stops them.
    ///
    /// # Errors
    /// [`DataError::IndexOutOfRange`] for an item the dataset does not have, [`DataError::Spawn`] without threads. The
    /// iterator's own errors are listed at [`Batches`].
    pub fn batches(&self, plan: Plan) -> Result<Batches, DataError> {
        plan.check(self.shared.dataset.len())?;
        Batches::start(Arc::clone(&self.shared), plan)
    }

    /// How many decoded pictures are kept, and their bytes.
    pub fn cached(&self) -> (usize, u64) {
        self.shared.cache.kept()
    }

    /// The unreadable files met so far, each once, in the order of the plans.
    pub fn unreadable(&self) -> UnreadableReport {
        let ledger = self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.report(&self.shared.dataset)
    }
}

impl Shared {
    fn workers(&self) -> usize {
        match self.options.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            workers => workers,
        }
    }
}

#[cfg(test)]
mod tests;
