//! Normalized softmax: cross-entropy over cosines to the proxies, divided by a temperature.
//!
//! ```text
//! L = mean_x -log( exp(s(x, p_x) / T) / sum_p exp(s(x, p) / T) )
//! ```
//! Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.

use burn::tensor::Tensor;

use super::{ProxyLoss, membership, reduce};

settings! {
    /// Options. Defaults: the source's.
    NormalizedSoftmaxConfig {
        /// Divisor T of the cosines.
        temperature: f64 = 0.05,
    }
}

impl ProxyLoss for NormalizedSoftmaxConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let logits = embeddings.matmul(proxies.transpose()).div_scalar(self.temperature);
        let own = membership(labels, &logits);
        reduce::cross_entropy(logits, own)
    }
}
