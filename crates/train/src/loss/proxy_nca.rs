//! The authors' Proxy-NCA mode: Proxy-Anchor's terms with the sums taken over proxies for each sample.
//!
//! ```text
//! L = mean_x log(1 + exp(-a (s(x, p_x) - d))) + mean_x log(1 + sum_{p != p_x} exp(a (s(x, p) + d)))
//! ```
//! Source: the published code of VPTSP-G. The softmax of the original paper is `proxy-nca-softmax`.

use burn::tensor::Tensor;

use super::ProxyLoss;
use super::proxy_anchor::{AnchorScales, anchor_terms};

settings! {
    /// Scale a and margin d, which positives and negatives may have apart.
    ///
    /// Defaults: as for Proxy-Anchor, in the authors' code.
    ProxyNcaConfig {
        /// Scale of the positive term.
        positive_alpha: f64 = 32.0,
        /// Scale of the negative term.
        negative_alpha: f64 = 32.0,
        /// Positives should be more similar than this.
        positive_delta: f64 = 0.1,
        /// Negatives should be less similar than this.
        negative_delta: f64 = -0.1,
    }
}

impl ProxyLoss for ProxyNcaConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let scales = AnchorScales {
            positive: (self.positive_alpha, self.positive_delta),
            negative: (self.negative_alpha, self.negative_delta),
        };
        let (positive, negative) = anchor_terms(embeddings.matmul(proxies.transpose()), labels, scales, 1);
        positive.mean() + negative.mean()
    }
}
