//! Contrastive loss.
//!
//! ```text
//! L = mean of max(d_ap - m_pos, 0) where above zero  +  mean of max(m_neg - d_an, 0) where above zero
//! ```
//! Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006. Differs from the source:
//! distances are not squared, and means run over the pairs above zero (pytorch-metric-learning's `AvgNonZeroReducer`).

use burn::tensor::{Tensor, activation};

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    ContrastiveConfig {
        /// Positives should be nearer than this.
        positive_margin: f64 = 0.0,
        /// Negatives should be farther than this.
        negative_margin: f64 = 1.0,
    }
}

impl PairLoss for ContrastiveConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let distance = pairs.distances();
        let far = activation::relu(distance.clone().sub_scalar(self.positive_margin)) * pairs.positive.clone();
        let near = activation::relu(distance.neg().add_scalar(self.negative_margin)) * pairs.negative.clone();
        reduce::mean_above_zero(far) + reduce::mean_above_zero(near)
    }
}
