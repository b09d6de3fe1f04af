//! Triplet margin loss.
//!
//! ```text
//! L = mean of max(d_ap - d_an + m, 0) over the triplets where it is above zero
//! ```
//! Schroff et al., "FaceNet", CVPR 2015, equation 2. Differs from the source: distances are not squared, and the mean runs
//! over the triplets above zero (pytorch-metric-learning's `AvgNonZeroReducer`).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{PairLoss, Pairs, reduce};

/// Options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TripletConfig {
    /// By how much negatives should be farther than positives.
    pub margin: f64,
}

impl Default for TripletConfig {
    /// pytorch-metric-learning's.
    fn default() -> Self {
        Self { margin: 0.05 }
    }
}

impl PairLoss for TripletConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let triplets = pairs.selection.triplets();
        if triplets.is_empty() {
            return pairs.nothing();
        }
        let distance = pairs.distances();
        let positive = pairs.at(distance.clone(), triplets.iter().map(|[anchor, positive, _]| (*anchor, *positive)));
        let negative = pairs.at(distance, triplets.iter().map(|[anchor, _, negative]| (*anchor, *negative)));
        reduce::mean_above_zero(activation::relu((positive - negative).add_scalar(self.margin)))
    }
}
