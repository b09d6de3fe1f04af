//! Multi-similarity loss.
//!
//! ```text
//! L = mean_i [ 1/a log(1 + sum_{p in P_i} exp(-a (s_ip - l))) + 1/b log(1 + sum_{n in N_i} exp(b (s_in - l))) ]
//! ```
//! Wang et al., "Multi-Similarity Loss with General Pair Weighting", CVPR 2019, equation 16; its miner is
//! `multi-similarity`.

use burn::tensor::Tensor;

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    MultiSimilarityConfig {
        /// Scale a of the positives.
        alpha: f64 = 2.0,
        /// Scale b of the negatives.
        beta: f64 = 50.0,
        /// Similarity l that positives should exceed and negatives stay below.
        base: f64 = 0.5,
    }
}

impl PairLoss for MultiSimilarityConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let above = pairs.similarity.clone().sub_scalar(self.base);
        let positive = reduce::log_sum_exp(above.clone().mul_scalar(-self.alpha), &pairs.positive, true);
        let negative = reduce::log_sum_exp(above.mul_scalar(self.beta), &pairs.negative, true);
        (positive.div_scalar(self.alpha) + negative.div_scalar(self.beta)).mean()
    }
}
