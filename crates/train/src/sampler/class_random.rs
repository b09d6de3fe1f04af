//! Every batch draws its classes and their images anew, as the authors do.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{draw, filled};

pub(super) fn epoch(
    images_by_class: &[Vec<usize>],
    groups: usize,
    images_per_class: usize,
    batches: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<usize>> {
    let filled = filled(images_by_class);
    (0..batches)
        .map(|_| {
            let classes: Vec<usize> = filled.sample(rng, groups).copied().collect();
            classes.iter().flat_map(|class| draw(&images_by_class[*class], images_per_class, rng)).collect()
        })
        .collect()
}
