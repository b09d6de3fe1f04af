//! The authors' Proxy-NCA mode: Proxy-Anchor's terms with the sums taken over proxies for each sample.
//!
//! ```text
//! L = mean_x log(1 + exp(-a (s(x, p_x) - d))) + mean_x log(1 + sum_{p != p_x} exp(a (s(x, p) + d)))
//! ```
//! Source: the published code of VPTSP-G. The softmax of the original paper is `proxy-nca-softmax`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::ProxyLoss;
use super::proxy_anchor::{AnchorScales, anchor_terms};

/// Scale a and margin d, which positives and negatives may have apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyNcaConfig {
    /// Scale of the positive term.
    pub positive_alpha: f64,
    /// Scale of the negative term.
    pub negative_alpha: f64,
    /// Positives should be more similar than this.
    pub positive_delta: f64,
    /// Negatives should be less similar than this.
    pub negative_delta: f64,
}

impl Default for ProxyNcaConfig {
    /// As for Proxy-Anchor, in the authors' code.
    fn default() -> Self {
        Self { positive_alpha: 32.0, negative_alpha: 32.0, positive_delta: 0.1, negative_delta: -0.1 }
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
