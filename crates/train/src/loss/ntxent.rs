//! NT-Xent (InfoNCE): each positive pair against all negatives of its anchor.
//!
//! ```text
//! L = mean over positive pairs (a, p) of -log( exp(s_ap / T) / (exp(s_ap / T) + sum_{n in N_a} exp(s_an / T)) )
//! ```
//! Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, equation 1, for any
//! number of positives as in pytorch-metric-learning.

use burn::tensor::Tensor;

use super::{PairLoss, Pairs, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    NtXentConfig {
        /// Divisor T of the cosines.
        temperature: f64 = 0.07,
    }
}

impl PairLoss for NtXentConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        if pairs.selection.has() != (true, true) {
            return pairs.nothing();
        }
        let logits = pairs.similarity.clone().div_scalar(self.temperature);
        let negatives = reduce::log_sum_exp(logits.clone(), &pairs.negative, false);
        // Without negatives there is nothing to tell the positive from.
        let has_negatives = pairs.negative.clone().sum_dim(1).greater_elem(0.0).float();
        let losses = reduce::softplus(negatives - logits) * pairs.positive.clone() * has_negatives;
        losses.sum().div(pairs.positive.clone().sum())
    }
}
