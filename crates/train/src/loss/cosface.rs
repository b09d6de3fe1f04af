//! CosFace: cross-entropy over scaled cosines, with a margin taken off the cosine to the sample's own class.
//!
//! ```text
//! L = mean_x -log( exp(a (s(x, p_x) - m)) / (exp(a (s(x, p_x) - m)) + sum_{p != p_x} exp(a s(x, p))) )
//! ```
//! Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, equation 4.

use burn::tensor::Tensor;

use super::{ProxyLoss, membership, reduce};

settings! {
    /// Options. Defaults: the source's.
    CosFaceConfig {
        /// Margin m of the cosine.
        margin: f64 = 0.35,
        /// Factor a of the cosines.
        scale: f64 = 64.0,
    }
}

impl ProxyLoss for CosFaceConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let cosine = embeddings.matmul(proxies.transpose());
        let own = membership(labels, &cosine);
        let logits = (cosine - own.clone().mul_scalar(self.margin)).mul_scalar(self.scale);
        reduce::cross_entropy(logits, own)
    }
}
