//! Pairs that are hard compared with the hardest pair of the other kind.
//!
//! ```text
//! keep negative (i, n) if s_in + e > min_p s_ip;  keep positive (i, p) if s_ip - e < max_n s_in
//! ```
//! Wang et al., "Multi-Similarity Loss with General Pair Weighting", CVPR 2019, equations 11 and 12.

use rand_chacha::ChaCha8Rng;

use super::{Cosines, Miner};
use crate::loss::Selection;

settings! {
    /// Options. Defaults: the source's.
    MultiSimilarityMinerConfig {
        /// Slack e.
        epsilon: f64 = 0.1,
    }
}

impl Miner for MultiSimilarityMinerConfig {
    fn mine(&self, cosines: &Cosines<'_>, _: &mut ChaCha8Rng) -> Selection {
        let size = cosines.labels.len();
        let hardest: Vec<(f64, f64)> = (0..size)
            .map(|anchor| {
                let of = |other| cosines.of(anchor, other);
                let least_positive = cosines.positives(anchor).map(of).fold(f64::INFINITY, f64::min);
                let most_negative = cosines.negatives(anchor).map(of).fold(f64::NEG_INFINITY, f64::max);
                (least_positive, most_negative)
            })
            .collect();
        Selection::pairs(cosines.labels, |anchor, other| {
            let (least_positive, most_negative) = hardest[anchor];
            let similarity = cosines.of(anchor, other);
            match cosines.labels[anchor] == cosines.labels[other] {
                true => similarity - self.epsilon < most_negative,
                false => similarity + self.epsilon > least_positive,
            }
        })
    }
}
