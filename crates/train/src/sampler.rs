//! Which images form a batch.

use std::sync::Arc;

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Batch make-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Images a batch, B; a multiple of `images_per_class`.
    pub batch_size: usize,
    /// Images of each class in a batch, k.
    pub images_per_class: usize,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self { batch_size: 32, images_per_class: 2 }
    }
}

/// Draws G = B/k distinct classes and k distinct images of each; repeats an image only where its class has fewer.
///
/// An epoch is `floor(n / B)` batches. Every epoch is a function of (seed, epoch) alone.
#[derive(Clone, Debug)]
pub struct ClassSampler {
    images_by_class: Arc<Vec<Vec<usize>>>,
    config: SamplingConfig,
    batches: usize,
    seed: u64,
}

impl ClassSampler {
    /// A sampler over the images of each class.
    ///
    /// # Errors
    /// [`TrainError::Sampling`] if no batch can be formed, with a hint.
    pub fn new(images_by_class: Vec<Vec<usize>>, config: SamplingConfig, seed: u64) -> Result<Self, TrainError> {
        let SamplingConfig { batch_size, images_per_class } = config;
        let fail = |message: String, hint: &str| Err(TrainError::Sampling { message, hint: hint.to_string() });
        if images_per_class == 0 || batch_size == 0 || !batch_size.is_multiple_of(images_per_class) {
            return fail(
                format!("batch_size {batch_size} is not a multiple of images_per_class {images_per_class}"),
                "choose batch_size = classes in a batch * images_per_class",
            );
        }
        let classes = images_by_class.iter().filter(|images| !images.is_empty()).count();
        let wanted = batch_size / images_per_class;
        if classes < wanted {
            return fail(
                format!("a batch needs {wanted} classes, the training set has {classes}"),
                "lower sampling.batch_size or raise sampling.images_per_class",
            );
        }
        let images: usize = images_by_class.iter().map(Vec::len).sum();
        if images < batch_size {
            return fail(
                format!("the training set has {images} images, fewer than one batch of {batch_size}"),
                "lower sampling.batch_size",
            );
        }
        Ok(Self { images_by_class: Arc::new(images_by_class), config, batches: images / batch_size, seed })
    }

    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Image indices of every batch of `epoch`, grouped by class.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64 + 1);
        let filled: Vec<usize> =
            (0..self.images_by_class.len()).filter(|c| !self.images_by_class[*c].is_empty()).collect();
        let groups = self.config.batch_size / self.config.images_per_class;
        (0..self.batches)
            .map(|_| {
                let classes: Vec<usize> = filled.sample(&mut rng, groups).copied().collect();
                classes.iter().flat_map(|class| self.draw(*class, &mut rng)).collect()
            })
            .collect()
    }

    fn draw(&self, class: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let images = &self.images_by_class[class];
        let mut drawn = images.clone();
        drawn.shuffle(rng);
        while drawn.len() < self.config.images_per_class {
            drawn.push(images[rng.random_range(0..images.len())]);
        }
        drawn.truncate(self.config.images_per_class);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn classes(sizes: &[usize]) -> Vec<Vec<usize>> {
        let mut next = 0;
        sizes
            .iter()
            .map(|size| {
                next += size;
                (next - size..next).collect()
            })
            .collect()
    }

    #[test]
    fn batches_hold_k_distinct_images_of_distinct_classes() {
        let by_class = classes(&[5, 9, 4, 7, 6]);
        let class_of = |image: usize| by_class.iter().position(|images| images.contains(&image)).unwrap();
        let config = SamplingConfig { batch_size: 12, images_per_class: 4 };
        let sampler = ClassSampler::new(by_class.clone(), config, 7).unwrap();
        assert_eq!(sampler.batches(), 2);
        for epoch in 0..20 {
            for batch in sampler.epoch(epoch) {
                assert_eq!(batch.iter().collect::<BTreeSet<_>>().len(), 12, "no image twice");
                let groups: Vec<usize> = batch.chunks(4).map(|group| class_of(group[0])).collect();
                assert!(batch.chunks(4).zip(&groups).all(|(group, c)| group.iter().all(|i| class_of(*i) == *c)));
                assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), 3, "no class twice");
            }
        }
        assert_eq!(sampler.epoch(3), sampler.epoch(3));
        assert_ne!(sampler.epoch(3), sampler.epoch(4));
    }

    #[test]
    fn a_class_smaller_than_k_repeats_images() {
        let config = SamplingConfig { batch_size: 4, images_per_class: 4 };
        let sampler = ClassSampler::new(classes(&[1, 3]), config, 0).unwrap();
        assert!(sampler.epoch(0).iter().all(|batch| batch.len() == 4));
    }

    #[test]
    fn impossible_batches_are_errors_with_a_hint() {
        let config = |batch_size, images_per_class| SamplingConfig { batch_size, images_per_class };
        let message = |sizes: &[usize], c| ClassSampler::new(classes(sizes), c, 0).unwrap_err().to_string();
        assert!(message(&[9, 9], config(7, 2)).contains("not a multiple"));
        assert!(message(&[9, 9], config(6, 2)).contains("needs 3 classes, the training set has 2"));
        assert!(message(&[1, 1, 1], config(6, 2)).contains("fewer than one batch"));
    }
}
