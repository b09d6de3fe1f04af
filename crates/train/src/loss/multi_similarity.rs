//! Multi-similarity loss.
//!
//! ```text
//! L = mean_i [ 1/a log(1 + sum_{p in P_i} exp(-a (s_ip - l))) + 1/b log(1 + sum_{n in N_i} exp(b (s_in - l))) ]
//! ```
//! Wang et al., "Multi-Similarity Loss with General Pair Weighting", CVPR 2019, equation 16; its miner is
//! `multi-similarity`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{PairLoss, Pairs, reduce};

/// Options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiSimilarityConfig {
    /// Scale a of the positives.
    pub alpha: f64,
    /// Scale b of the negatives.
    pub beta: f64,
    /// Similarity l that positives should exceed and negatives stay below.
    pub base: f64,
}

impl Default for MultiSimilarityConfig {
    /// pytorch-metric-learning's.
    fn default() -> Self {
        Self { alpha: 2.0, beta: 50.0, base: 0.5 }
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
