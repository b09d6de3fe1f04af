//! Batches of preprocessed images, prefetched on worker threads.
//!
//! A [`Loader`] lives as long as its dataset is in use and holds what outlives an epoch: the cache of decoded images and
//! the report of unreadable ones. [`Loader::batches`] starts threads for one [`Plan`] and yields its batches in order.
//!
//! The batches depend on dataset, settings and plan alone. Worker `n mod workers` loads batch `n` into its own queue, and
//! an image's random numbers follow from its place in the plan; so neither the number of workers, nor their speed, nor the
//! cache, nor the batch at which a run is resumed changes anything.

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

/// What to do about an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Replace it by the next readable image of its class, so that batches keep their composition: for training.
    Replace,
    /// Omit its row: for evaluation, where a replacement would count twice.
    Skip,
}

/// Settings of a [`Loader`]. Only `unreadable` and `min_crop_area` affect what a batch contains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderOptions {
    /// Decoding threads; 0 for one per core.
    pub workers: usize,
    /// Finished batches that may wait, over all workers, at least one each. Memory is bounded by these plus one batch in
    /// progress per worker.
    pub prefetch_batches: usize,
    /// What to do about unreadable images.
    pub unreadable: Unreadable,
    /// Share of the dataset, from 0 to 1, beyond which unreadable images stop loading with an error.
    pub max_unreadable_fraction: f64,
    /// Size of the cache of decoded images, in bytes; 0 for none.
    pub cache_bytes: u64,
    /// Smallest share of an image that a training crop covers; torchvision's default is 0.08.
    pub min_crop_area: f64,
    /// Bounds on decoding one image.
    pub limits: DecodeLimits,
}

impl LoaderOptions {
    /// Settings for training: unreadable images are replaced.
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

    /// Settings for evaluation: unreadable images are skipped.
    pub fn eval() -> Self {
        Self { unreadable: Unreadable::Skip, ..Self::train() }
    }
}

/// Loads batches of a dataset.
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

/// Shared by the loader, its iterators and their threads.
#[derive(Debug)]
struct Shared {
    dataset: Arc<Dataset>,
    items_by_class: Vec<Vec<usize>>,
    options: LoaderOptions,
    train: TrainTransform,
    eval: EvalTransform,
    cache: ImageCache,
    /// How many images may be unreadable.
    max_unreadable: usize,
    ledger: Mutex<Ledger>,
}

impl Loader {
    /// A loader of `dataset`; it starts no threads yet.
    ///
    /// # Errors
    /// [`DataError::Setting`] for settings out of range.
    pub fn new(dataset: Arc<Dataset>, preprocess: Preprocess, options: LoaderOptions) -> Result<Self, DataError> {
        if !(0.0..=1.0).contains(&options.max_unreadable_fraction) {
            let found = options.max_unreadable_fraction.to_string();
            return Err(DataError::setting("loader", "max_unreadable_fraction", "0 to 1", found));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                items_by_class: dataset.items_by_class(),
                train: TrainTransform::new(preprocess, options.min_crop_area)?,
                eval: EvalTransform::new(preprocess)?,
                cache: ImageCache::new(dataset.len(), options.cache_bytes),
                max_unreadable: (options.max_unreadable_fraction * dataset.len() as f64).floor() as usize,
                ledger: Mutex::default(),
                dataset,
                options,
            }),
        })
    }

    /// Starts the threads for `plan` and yields its batches in order. Dropping the iterator stops them.
    ///
    /// # Errors
    /// [`DataError::IndexOutOfRange`] for an index beyond the dataset, [`DataError::Thread`] if a thread cannot be started.
    /// [`Batches`] lists the iterator's errors.
    pub fn batches(&self, plan: Plan) -> Result<Batches, DataError> {
        plan.check(self.shared.dataset.len())?;
        Batches::start(Arc::clone(&self.shared), plan)
    }

    /// Number and bytes of the images in the cache.
    pub fn cached(&self) -> (usize, u64) {
        self.shared.cache.kept()
    }

    /// The unreadable files so far, each once, in the order of the plans.
    pub fn unreadable(&self) -> UnreadableReport {
        self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner).report.clone()
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
