//! Triplet margin loss.
//!
//! ```text
//! L = mean of max(d_ap - d_an + m, 0) over the triplets where it is above zero
//! ```
//! Schroff et al., "FaceNet", CVPR 2015, equation 2. Differs from the source: distances are not squared, and the mean runs
//! over the triplets above zero (pytorch-metric-learning's `AvgNonZeroReducer`).

use burn::tensor::{Tensor, activation};

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    TripletConfig {
        /// By how much negatives should be farther than positives.
        margin: f64 = 0.05,
    }
}

impl PairLoss for TripletConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let Some([positive, negative]) = pairs.triplet_distances(&pairs.selection.triplets()) else {
            return pairs.nothing();
        };
        reduce::mean_above_zero(activation::relu((positive - negative).add_scalar(self.margin)))
    }
}
