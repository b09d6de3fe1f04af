//! ArcFace: cross-entropy over scaled cosines, with an angular margin on the sample's own class.
//!
//! ```text
//! L = mean_x -log( exp(a cos(t_x + m)) / (exp(a cos(t_x + m)) + sum_{p != p_x} exp(a s(x, p))) )
//! ```
//! with t_x the angle to the own proxy. Deng et al., "ArcFace", CVPR 2019, equation 3. Where t_x + m passes 180 degrees,
//! `cos t_x - m sin m` takes its place, which keeps the loss falling with the angle (as pytorch-metric-learning does).

use burn::tensor::Tensor;

use super::{ProxyLoss, membership, reduce};

/// How far a cosine stays from 1 and -1, where the angle has no derivative.
const EDGE: f64 = 1e-6;

settings! {
    /// Options. Defaults: pytorch-metric-learning's; the source's 0.5 radians.
    ArcFaceConfig {
        /// Margin m, in degrees.
        margin_degrees: f64 = 28.6,
        /// Factor a of the cosines.
        scale: f64 = 64.0,
    }
}

impl ProxyLoss for ArcFaceConfig {
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let margin = self.margin_degrees.to_radians();
        let cosine = embeddings.matmul(proxies.transpose());
        let own = membership(labels, &cosine);
        let inside = cosine.clone().clamp(EDGE - 1.0, 1.0 - EDGE);
        let sine = inside.clone().square().neg().add_scalar(1.0).sqrt();
        let turned = inside.mul_scalar(margin.cos()) - sine.mul_scalar(margin.sin());
        let beyond = cosine.clone().sub_scalar(margin * margin.sin());
        let passes = cosine.clone().lower_elem(-margin.cos());
        let other = own.clone().neg().add_scalar(1.0);
        let logits = turned.mask_where(passes, beyond) * own.clone() + cosine * other;
        reduce::cross_entropy(logits.mul_scalar(self.scale), own)
    }
}
