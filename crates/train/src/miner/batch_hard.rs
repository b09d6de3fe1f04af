//! Batch-hard triplets: for each anchor its farthest positive and its nearest negative.
//!
//! Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, equation 5.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Cosines, Miner};
use crate::loss::Selection;

/// The miner has no options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchHardConfig {}

impl Miner for BatchHardConfig {
    fn mine(&self, cosines: &Cosines<'_>, _: &mut ChaCha8Rng) -> Selection {
        let size = cosines.labels.len();
        let hardest = |anchor: usize| {
            let by_cosine = |a: &usize, b: &usize| cosines.of(anchor, *a).total_cmp(&cosines.of(anchor, *b));
            let positive = cosines.positives(anchor).min_by(by_cosine)?;
            let negative = cosines.negatives(anchor).max_by(by_cosine)?;
            Some([anchor, positive, negative])
        };
        Selection::triplets_of(size, (0..size).filter_map(hardest).collect())
    }
}
