//! Classes take turns, and so do the images of each class: within an epoch no class comes twice more often than another.

use std::collections::VecDeque;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Sampler, draw};

impl Sampler {
    pub(super) fn balanced_epoch(&self, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let (filled, groups) = (self.filled(), self.groups());
        let mut turn: VecDeque<usize> = VecDeque::new();
        let mut waiting: Vec<VecDeque<usize>> = vec![VecDeque::new(); self.images_by_class.len()];
        let batch = |_| {
            let mut classes: Vec<usize> = Vec::with_capacity(groups);
            while classes.len() < groups {
                if turn.iter().all(|class| classes.contains(class)) {
                    let mut next = filled.clone();
                    next.shuffle(rng);
                    turn.extend(next);
                }
                // A class that is in the batch already waits for the next one.
                if let Some(place) = turn.iter().position(|class| !classes.contains(class)) {
                    classes.extend(turn.remove(place));
                }
            }
            let k = self.config.images_per_class;
            let images = |class: &usize| take(&self.images_by_class[*class], &mut waiting[*class], k, rng);
            classes.iter().flat_map(images).collect()
        };
        (0..self.batches).map(batch).collect()
    }
}

/// The next `count` images of a class; those that have waited longest come first.
fn take(images: &[usize], waiting: &mut VecDeque<usize>, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::with_capacity(count);
    while taken.len() < count {
        if let Some(place) = waiting.iter().position(|image| !taken.contains(image)) {
            taken.extend(waiting.remove(place));
        } else if taken.len() >= images.len() {
            taken.extend(draw(images, count - taken.len(), rng));
        } else {
            waiting.extend(draw(images, images.len(), rng));
        }
    }
    taken
}
