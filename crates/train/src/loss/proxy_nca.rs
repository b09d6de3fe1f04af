//! Proxy-NCA in two forms.

use burn::tensor::{Tensor, activation};

use super::membership;
use super::proxy_anchor::{ProxyAnchorConfig, anchor_terms};

/// The authors' Proxy-NCA mode: Proxy-Anchor's terms with the sums taken over proxies for each sample.
///
/// ```text
/// L = mean_x log(1 + exp(-a (s(x, p_x) - d))) + mean_x log(1 + sum_{p != p_x} exp(a (s(x, p) + d)))
/// ```
pub fn proxy_nca_loss(
    embeddings: Tensor<2>,
    proxies: Tensor<2>,
    labels: &[usize],
    config: &ProxyAnchorConfig,
) -> Tensor<1> {
    let (positive, negative) = anchor_terms(embeddings.matmul(proxies.transpose()), labels, config, 1);
    positive.mean() + negative.mean()
}

/// Proxy-NCA as cross-entropy over squared distances of unit vectors, times `scale`.
///
/// ```text
/// L = mean_x -log( exp(-scale |x - p_x|²) / sum_p exp(-scale |x - p|²) )
/// ```
/// Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017; with the positive in the
/// denominator, as in pytorch-metric-learning's `ProxyNCALoss`.
pub fn proxy_nca_softmax_loss(embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize], scale: f64) -> Tensor<1> {
    let similarity = embeddings.matmul(proxies.transpose());
    let own = membership(labels, &similarity);
    // |x - p|² = 2 - 2 s for unit vectors, and the constant cancels.
    let log_probability = activation::log_softmax(similarity.mul_scalar(2.0 * scale), 1);
    (log_probability * own).sum_dim(1).mean().neg()
}
