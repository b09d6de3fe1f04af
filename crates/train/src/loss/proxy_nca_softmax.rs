//! Proxy-NCA as cross-entropy over squared distances of unit vectors.
//!
//! ```text
//! L = mean_x -log( exp(-scale |x - p_x|²) / sum_p exp(-scale |x - p|²) )
//! ```
//! Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017. Differs from the source: the
//! positive is in the denominator, as in pytorch-metric-learning's `ProxyNCALoss`.

use burn::tensor::Tensor;

use super::{ProxyLoss, membership, reduce};

settings! {
    /// Options. Defaults: pytorch-metric-learning's.
    ProxyNcaSoftmaxConfig {
        /// Factor of the squared distances.
        scale: f64 = 1.0,
    }
}

impl ProxyLoss for ProxyNcaSoftmaxConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        // |x - p|² = 2 - 2 s for unit vectors, and the constant cancels.
        let logits = embeddings.matmul(proxies.transpose()).mul_scalar(2.0 * self.scale);
        let own = membership(labels, &logits);
        reduce::cross_entropy(logits, own)
    }
}
