//! Distance-weighted negatives: for each positive pair one negative, drawn so that distances come evenly.
//!
//! ```text
//! w(d) = 1 / q(d),  q(d) ∝ d^(E - 2) (1 - d²/4)^((E - 3) / 2),  d at least `cutoff`;  no negative beyond `no_loss_cutoff`
//! ```
//! q is the density of distances of random unit vectors. Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV
//! 2017, section 4.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Cosines, Miner};
use crate::loss::Selection;

settings! {
    /// Options. Defaults: the source's.
    DistanceWeightedConfig {
        /// Smaller distances count as this, which bounds the weights.
        cutoff: f64 = 0.5,
        /// Negatives at this distance or beyond are not drawn: they cause no loss.
        no_loss_cutoff: f64 = 1.4,
    }
}

impl Miner for DistanceWeightedConfig {
    fn mine(&self, cosines: &Cosines<'_>, rng: &mut ChaCha8Rng) -> Selection {
        let size = cosines.labels.len();
        let dim = cosines.dim as f64;
        let log_weight = |distance: f64| {
            let d = distance.max(self.cutoff);
            (2.0 - dim) * d.ln() - (dim - 3.0) / 2.0 * (1.0 - 0.25 * d * d).ln()
        };
        let mut triplets = Vec::new();
        for anchor in 0..size {
            let candidates: Vec<(usize, f64)> = cosines
                .negatives(anchor)
                .filter(|n| cosines.distance(anchor, *n).max(self.cutoff) < self.no_loss_cutoff)
                .map(|n| (n, log_weight(cosines.distance(anchor, n))))
                .filter(|(_, weight)| weight.is_finite())
                .collect();
            let Some(largest) = candidates.iter().map(|(_, weight)| *weight).max_by(f64::total_cmp) else { continue };
            let total: f64 = candidates.iter().map(|(_, weight)| (weight - largest).exp()).sum();
            for positive in cosines.positives(anchor) {
                let mut rest = rng.random::<f64>() * total;
                let drawn = candidates.iter().find(|(_, weight)| {
                    rest -= (weight - largest).exp();
                    rest < 0.0
                });
                // Rounding may leave a sliver beyond the last candidate.
                if let Some((negative, _)) = drawn.or(candidates.last()) {
                    triplets.push([anchor, positive, *negative]);
                }
            }
        }
        Selection::triplets_of(size, triplets)
    }
}
