//! What to load: which images form which batch, and where each image's randomness comes from.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::DataError;

/// Which transform the images get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Augment {
    /// A random crop and flip, determined by these two numbers and the image's place in the plan.
    Train {
        /// The run's seed.
        seed: u64,
        /// The epoch, from 0.
        epoch: u64,
    },
    /// The center crop.
    Eval,
}

/// The batches of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    batches: Vec<Vec<usize>>,
    augment: Augment,
    first_batch: usize,
}

impl Plan {
    /// Batches of positions in the dataset, in order.
    pub fn new(batches: impl IntoIterator<Item = Vec<usize>>, augment: Augment) -> Self {
        Self { batches: batches.into_iter().collect(), augment, first_batch: 0 }
    }

    /// All `len` images of a dataset in order with the center crop, in batches of `batch_size` (at least 1); the last one
    /// may be smaller.
    pub fn eval(len: usize, batch_size: usize) -> Self {
        let batch_size = batch_size.max(1);
        let batch = |start| (start..len.min(start + batch_size)).collect();
        Self::new((0..len).step_by(batch_size).map(batch), Augment::Eval)
    }

    /// The rest of the same epoch, from batch `first_batch` on, to resume it.
    pub fn starting_at(mut self, first_batch: usize) -> Self {
        self.first_batch = first_batch;
        self
    }

    /// Positions of the batches to load.
    pub(super) fn numbers(&self) -> Range<usize> {
        self.first_batch.min(self.batches.len())..self.batches.len()
    }

    /// The images of batch `number`; none beyond the end.
    pub(super) fn batch(&self, number: usize) -> &[usize] {
        self.batches.get(number).map_or(&[], Vec::as_slice)
    }

    /// The generator for the image at `position` of batch `number`; `None` without augmentation.
    ///
    /// The four numbers together are the cipher's key, so that no two images share a stream.
    pub(super) fn rng(&self, number: usize, position: usize) -> Option<ChaCha8Rng> {
        let Augment::Train { seed, epoch } = self.augment else { return None };
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, epoch, number as u64, position as u64]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Some(ChaCha8Rng::from_seed(key))
    }

    pub(super) fn check(&self, len: usize) -> Result<(), DataError> {
        for (batch, items) in self.batches.iter().enumerate() {
            if let Some(&index) = items.iter().find(|&&index| index >= len) {
                return Err(DataError::IndexOutOfRange { batch, index, len });
            }
        }
        Ok(())
    }
}
