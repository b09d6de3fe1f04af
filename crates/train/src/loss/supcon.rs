//! Supervised contrastive loss.
//!
//! ```text
//! L_i = -1/|P_i| sum_{p in P_i} log( exp(s_ip / T) / sum_{j != i} exp(s_ij / T) )
//! ```
//! Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2; the mean over the samples whose loss is
//! above zero (pytorch-metric-learning's `AvgNonZeroReducer`).

use burn::tensor::Tensor;

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: the source's.
    SupConConfig {
        /// Divisor T of the cosines.
        temperature: f64 = 0.1,
    }
}

impl PairLoss for SupConConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        if pairs.selection.has() != (true, true) {
            return pairs.nothing();
        }
        let logits = pairs.similarity.clone().div_scalar(self.temperature);
        let all = pairs.positive.clone() + pairs.negative.clone();
        let log_probability = logits.clone() - reduce::log_sum_exp(logits, &all, false);
        let positives = pairs.positive.clone().sum_dim(1).clamp_min(1.0);
        let losses = (log_probability * pairs.positive.clone()).sum_dim(1).neg() / positives;
        reduce::mean_above_zero(losses)
    }
}
