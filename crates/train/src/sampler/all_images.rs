//! Every image comes in every epoch, once where the numbers allow it.
//!
//! A class is cut into groups of k images, and a batch takes a group of each of G classes. What does not divide is filled
//! with repeats: a class's last group with its own images, and batches at the end of an unbalanced set with other
//! classes.

use std::cmp::Reverse;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Sampler, draw};

/// Batches of an epoch: enough for all groups, and for the class with most of them.
pub(super) fn batches(images_by_class: &[Vec<usize>], groups: usize, images_per_class: usize) -> usize {
    let counts = images_by_class.iter().map(|images| images.len().div_ceil(images_per_class));
    counts.clone().sum::<usize>().div_ceil(groups).max(counts.max().unwrap_or(0))
}

impl Sampler {
    pub(super) fn epoch_of_all_images(&self, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let (images_by_class, groups, images_per_class) =
            (&self.images_by_class[..], self.groups(), self.config.images_per_class);
        let mut left: Vec<Vec<Vec<usize>>> = images_by_class
            .iter()
            .map(|images| {
                let mut order = draw(images, images.len(), rng);
                let rest = order.len() % images_per_class;
                if rest > 0 {
                    // Others of the class first, so that the last group repeats an image only in a class that is too small.
                    let whole = order.len() - rest;
                    let others: Vec<usize> = order[..whole].to_vec();
                    let missing = images_per_class - rest;
                    order.extend(draw(if others.is_empty() { images } else { &others }, missing, rng));
                }
                order.chunks(images_per_class).map(<[usize]>::to_vec).collect()
            })
            .collect();
        let filled = self.filled();
        let mut made = Vec::new();
        while left.iter().any(|groups| !groups.is_empty()) {
            // Classes with most groups left go first, or they would be left over alone; chance decides among equals.
            let mut order = filled.clone();
            order.shuffle(rng);
            order.sort_by_key(|class| Reverse(left[*class].len()));
            let mut batch = Vec::with_capacity(groups * images_per_class);
            for class in order.into_iter().take(groups) {
                match left[class].pop() {
                    Some(group) => batch.extend(group),
                    None => batch.extend(draw(&images_by_class[class], images_per_class, rng)),
                }
            }
            made.push(batch);
        }
        made.shuffle(rng);
        made
    }
}
