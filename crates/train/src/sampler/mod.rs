//! Which images form a batch.

mod all_images;
mod balanced;

use std::sync::Arc;

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How an epoch walks through the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// Every batch draws its classes anew (the authors).
    #[default]
    ClassRandom,
    /// Classes take turns, and so do the images of a class: all come equally often.
    Balanced,
    /// Every image comes in every epoch.
    AllImages,
}

settings! {
    /// Batch make-up.
    #[derive(Copy, Eq)]
    SamplingConfig {
        /// Images a batch, B; a multiple of `images_per_class`.
        batch_size: usize = 32,
        /// Images of each class in a batch, k.
        images_per_class: usize = 2,
        /// How an epoch walks through the images.
        kind: SamplerKind = SamplerKind::default(),
    }
}

/// Makes batches of G = B/k distinct classes with k images each, which are distinct unless the class has fewer.
///
/// Every epoch is a function of (seed, epoch) alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    images_by_class: Arc<Vec<Vec<usize>>>,
    config: SamplingConfig,
    batches: usize,
    seed: u64,
}

impl Sampler {
    /// A sampler over the images of each class.
    ///
    /// # Errors
    /// [`TrainError::Sampling`] if no batch can be formed, with a hint.
    pub fn new(images_by_class: Vec<Vec<usize>>, config: SamplingConfig, seed: u64) -> Result<Self, TrainError> {
        let SamplingConfig { batch_size, images_per_class, .. } = config;
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
                format!("a batch needs {wanted} classes, but the training set has {classes}"),
                "lower sampling.batch_size or raise sampling.images_per_class",
            );
        }
        let images: usize = images_by_class.iter().map(Vec::len).sum();
        if images < batch_size {
            return fail(
                format!("the training set has only {images} images, fewer than a batch of {batch_size}"),
                "lower sampling.batch_size",
            );
        }
        let batches = match config.kind {
            SamplerKind::ClassRandom | SamplerKind::Balanced => images / batch_size,
            SamplerKind::AllImages => all_images::batches(&images_by_class, wanted, images_per_class),
        };
        Ok(Self { images_by_class: Arc::new(images_by_class), config, batches, seed })
    }

    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Image indices of every batch of `epoch`, grouped by class.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64 + 1);
        match self.config.kind {
            SamplerKind::ClassRandom => (0..self.batches).map(|_| self.random_batch(&mut rng)).collect(),
            SamplerKind::Balanced => self.balanced_epoch(&mut rng),
            SamplerKind::AllImages => self.epoch_of_all_images(&mut rng),
        }
    }

    /// A batch whose classes and images are drawn anew, as the authors do.
    fn random_batch(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let classes: Vec<usize> = self.filled().sample(rng, self.groups()).copied().collect();
        let k = self.config.images_per_class;
        classes.iter().flat_map(|class| draw(&self.images_by_class[*class], k, rng)).collect()
    }

    /// Classes in a batch.
    fn groups(&self) -> usize {
        self.config.batch_size / self.config.images_per_class
    }

    /// The classes that have images.
    fn filled(&self) -> Vec<usize> {
        (0..self.images_by_class.len()).filter(|class| !self.images_by_class[*class].is_empty()).collect()
    }
}

/// `count` of `images` in random order; repeats only where there are fewer.
fn draw(images: &[usize], count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut drawn = images.to_vec();
    drawn.shuffle(rng);
    while drawn.len() < count {
        drawn.push(images[rng.random_range(0..images.len())]);
    }
    drawn.truncate(count);
    drawn
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

    fn config(batch_size: usize, images_per_class: usize, kind: SamplerKind) -> SamplingConfig {
        SamplingConfig { batch_size, images_per_class, kind }
    }

    /// Every sampler: groups of k images of one class, no class twice in a batch, seeded.
    #[test]
    fn all_samplers_make_batches_of_distinct_classes() {
        let by_class = classes(&[5, 9, 4, 0, 7, 6, 3, 1]);
        let class_of = |image: usize| by_class.iter().position(|images| images.contains(&image)).unwrap();
        for kind in [SamplerKind::ClassRandom, SamplerKind::Balanced, SamplerKind::AllImages] {
            let sampler = Sampler::new(by_class.clone(), config(6, 2, kind), 7).unwrap();
            for epoch in 0..10 {
                let batches = sampler.epoch(epoch);
                assert_eq!(batches.len(), sampler.batches(), "{kind:?}");
                assert_eq!(batches, sampler.epoch(epoch), "{kind:?}");
                for batch in batches {
                    assert_eq!(batch.len(), 6, "{kind:?}");
                    let groups: BTreeSet<usize> = batch.chunks(2).map(|group| class_of(group[0])).collect();
                    assert_eq!(groups.len(), 3, "{kind:?}: no class twice");
                    assert!(batch.chunks(2).all(|group| class_of(group[0]) == class_of(group[1])), "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_balanced_epoch_gives_every_class_its_turn() {
        let by_class = classes(&[40, 2, 3, 11]);
        let sampler = Sampler::new(by_class.clone(), config(4, 2, SamplerKind::Balanced), 3).unwrap();
        let shown: Vec<usize> = sampler.epoch(0).concat();
        let of_class = |images: &Vec<usize>| shown.iter().filter(|image| images.contains(image)).count();
        let counts: Vec<usize> = by_class.iter().map(of_class).collect();
        assert_eq!(counts, [14, 14, 14, 14], "14 batches of two classes");
        let first: BTreeSet<usize> = shown.iter().copied().filter(|image| *image < 40).collect();
        assert_eq!(first.len(), 14, "images of a large class do not repeat before all have come");
    }

    #[test]
    fn all_images_come_in_every_epoch() {
        for sizes in [&[5, 9, 4, 7, 6][..], &[20, 1, 1, 2], &[3, 3, 3]] {
            let by_class = classes(sizes);
            let sampler = Sampler::new(by_class.clone(), config(4, 2, SamplerKind::AllImages), 3).unwrap();
            for epoch in 0..5 {
                let shown: BTreeSet<usize> = sampler.epoch(epoch).concat().into_iter().collect();
                assert_eq!(shown.len(), sizes.iter().sum::<usize>(), "{sizes:?}");
            }
        }
        let even = Sampler::new(classes(&[4, 4, 4, 4]), config(4, 2, SamplerKind::AllImages), 3).unwrap();
        assert_eq!(even.batches(), 4, "no image twice where everything divides");
    }

    #[test]
    fn batches_hold_k_distinct_images_of_distinct_classes() {
        let by_class = classes(&[5, 9, 4, 7, 6]);
        let class_of = |image: usize| by_class.iter().position(|images| images.contains(&image)).unwrap();
        let config = config(12, 4, SamplerKind::ClassRandom);
        let sampler = Sampler::new(by_class.clone(), config, 7).unwrap();
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
        let config = config(4, 4, SamplerKind::ClassRandom);
        let sampler = Sampler::new(classes(&[1, 3]), config, 0).unwrap();
        assert!(sampler.epoch(0).iter().all(|batch| batch.len() == 4));
    }

    #[test]
    fn impossible_batches_are_errors_with_a_hint() {
        let config = |batch_size, images_per_class| config(batch_size, images_per_class, SamplerKind::ClassRandom);
        let message = |sizes: &[usize], c| Sampler::new(classes(sizes), c, 0).unwrap_err().to_string();
        assert!(message(&[9, 9], config(7, 2)).contains("not a multiple"));
        assert!(message(&[9, 9], config(6, 2)).contains("needs 3 classes, but the training set has 2"));
        assert!(message(&[1, 1, 1], config(6, 2)).contains("fewer than a batch"));
    }
}
