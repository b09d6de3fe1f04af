//! Circle loss: each similarity weighted by its distance from its optimum.
//!
//! ```text
//! L_i = log(1 + sum_{n} exp(g a_n (s_in - m)) * sum_{p} exp(-g a_p (s_ip - 1 + m)))
//! a_p = max(1 + m - s_ip, 0), a_n = max(s_in + m, 0), both without gradient
//! ```
//! Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020, equation 6; the mean over
//! the samples whose loss is above zero (pytorch-metric-learning's `AvgNonZeroReducer`).

use burn::tensor::{Tensor, activation};

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    CircleConfig {
        /// Relaxation m.
        m: f64 = 0.4,
        /// Scale g.
        gamma: f64 = 80.0,
    }
}

impl PairLoss for CircleConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let similarity = &pairs.similarity;
        let weight_positive = activation::relu(similarity.clone().detach().neg().add_scalar(1.0 + self.m));
        let weight_negative = activation::relu(similarity.clone().detach().add_scalar(self.m));
        let positive = weight_positive * similarity.clone().sub_scalar(1.0 - self.m);
        let negative = weight_negative * similarity.clone().sub_scalar(self.m);
        let positive = reduce::log_sum_exp(positive.mul_scalar(-self.gamma), &pairs.positive, false);
        let negative = reduce::log_sum_exp(negative.mul_scalar(self.gamma), &pairs.negative, false);
        let has = |mask: &Tensor<2>| mask.clone().sum_dim(1).greater_elem(0.0).float();
        let losses = reduce::softplus(positive + negative) * has(&pairs.positive) * has(&pairs.negative);
        reduce::mean_above_zero(losses)
    }
}
