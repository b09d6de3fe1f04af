//! SoftTriple: cross-entropy over classes that have several centers each.
//!
//! ```text
//! S(x, c) = sum_k softmax_k(s(x, w_ck) / gamma) s(x, w_ck)
//! L = mean_x -log( exp(la (S(x, y) - m)) / (exp(la (S(x, y) - m)) + sum_{c != y} exp(la S(x, c))) )
//! ```
//! Qian et al., "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling", ICCV 2019, equations 7 and 9, without
//! its regularizer, as in pytorch-metric-learning. With semantic proxies each center is mixed with that of its class.

use burn::tensor::{Tensor, activation};

use super::{ProxyLoss, membership, reduce};

settings! {
    /// Options. Defaults: the source's.
    SoftTripleConfig {
        /// Centers of each class, K.
        #[serde(alias = "centers")]
        centers_per_class: usize = 10,
        /// Factor of the similarities.
        la: f64 = 20.0,
        /// Temperature of the softmax over the centers of a class.
        gamma: f64 = 0.1,
        /// Margin m.
        margin: f64 = 0.01,
    }
}

impl ProxyLoss for SoftTripleConfig {
    fn centers_per_class(&self) -> usize {
        self.centers_per_class
    }

    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let (batch, rows) = (embeddings.dims()[0], proxies.dims()[0]);
        let centers = self.centers_per_class.max(1);
        let to_centers = embeddings.matmul(proxies.transpose()).reshape([batch, rows / centers, centers]);
        let share = activation::softmax(to_centers.clone().div_scalar(self.gamma), 2);
        let to_classes = (share * to_centers).sum_dim(2).squeeze_dim::<2>(2);
        let own = membership(labels, &to_classes);
        let logits = (to_classes - own.clone().mul_scalar(self.margin)).mul_scalar(self.la);
        reduce::cross_entropy(logits, own)
    }
}
