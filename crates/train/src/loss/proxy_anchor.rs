//! Proxy-Anchor loss.
//!
//! ```text
//! L = mean_p log(1 + sum_{x in p} exp(-a (s(x, p) - d))) + mean_p log(1 + sum_{x not in p} exp(a (s(x, p) + d)))
//! ```
//! Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, equation 4. Differs from the source: both
//! means run over all proxies, as in the authors' code of VPTSP-G; [`PositiveMean::Present`] restores the paper's.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{ProxyLoss, membership, reduce};

/// Over which proxies the positive term is averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositiveMean {
    /// All proxies.
    #[default]
    All,
    /// Those with a sample in the batch (the paper; pytorch-metric-learning).
    Present,
}

settings! {
    /// Scale a and margin d, which positives and negatives may have apart.
    ///
    /// Defaults: a = 32, d = 0.1 as in the source.
    ProxyAnchorConfig {
        /// Scale of the positive term.
        positive_alpha: f64 = 32.0,
        /// Scale of the negative term.
        negative_alpha: f64 = 32.0,
        /// Positives should be more similar than this.
        positive_delta: f64 = 0.1,
        /// Negatives should be less similar than this.
        negative_delta: f64 = -0.1,
        /// Divisor of the positive term.
        positive_mean: PositiveMean = PositiveMean::All,
    }
}

impl ProxyLoss for ProxyAnchorConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let classes = proxies.dims()[0];
        let present = match self.positive_mean {
            PositiveMean::All => classes,
            PositiveMean::Present => labels.iter().collect::<std::collections::BTreeSet<_>>().len(),
        };
        let scales = AnchorScales {
            positive: (self.positive_alpha, self.positive_delta),
            negative: (self.negative_alpha, self.negative_delta),
        };
        let (positive, negative) = anchor_terms(embeddings.matmul(proxies.transpose()), labels, scales, 0);
        positive.sum().div_scalar(present.max(1) as f64) + negative.sum().div_scalar(classes as f64)
    }
}

/// Scale and margin of positives and of negatives.
#[derive(Clone, Copy)]
pub(super) struct AnchorScales {
    pub positive: (f64, f64),
    pub negative: (f64, f64),
}

/// `log(1 + sum exp(..))` of positives and of negatives, the sums running over `dim` of `similarity` `[B, C]`.
pub(super) fn anchor_terms(
    similarity: Tensor<2>,
    labels: &[usize],
    scales: AnchorScales,
    dim: usize,
) -> (Tensor<2>, Tensor<2>) {
    let own = membership(labels, &similarity);
    let other = own.clone().neg().add_scalar(1.0);
    let term = |mask: Tensor<2>, alpha: f64, delta: f64| {
        reduce::log_sum_exp_over(dim, similarity.clone().sub_scalar(delta).mul_scalar(alpha), &mask, true)
    };
    let (positive, negative) = (scales.positive, scales.negative);
    (term(own, -positive.0, positive.1), term(other, negative.0, negative.1))
}
