//! Semi-hard triplets: the negative is farther than the positive, but not by the margin.
//!
//! Schroff et al., "FaceNet", CVPR 2015, section 3.2; all such triplets, as pytorch-metric-learning's
//! `TripletMarginMiner(type_of_triplets="semihard")`.

use rand_chacha::ChaCha8Rng;

use super::{Cosines, Miner};
use crate::loss::Selection;

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    SemiHardConfig {
        /// By how much a negative may be farther than the positive.
        margin: f64 = 0.2,
    }
}

impl Miner for SemiHardConfig {
    fn mine(&self, cosines: &Cosines<'_>, _: &mut ChaCha8Rng) -> Selection {
        let size = cosines.labels.len();
        let mut triplets = Vec::new();
        for anchor in 0..size {
            for positive in cosines.positives(anchor) {
                let near = cosines.distance(anchor, positive);
                let is_semi_hard = |negative: &usize| {
                    let beyond = cosines.distance(anchor, *negative) - near;
                    beyond > 0.0 && beyond <= self.margin
                };
                triplets.extend(cosines.negatives(anchor).filter(is_semi_hard).map(|n| [anchor, positive, n]));
            }
        }
        Selection::triplets_of(size, triplets)
    }
}
