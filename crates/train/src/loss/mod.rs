//! Losses between unit embeddings and proxies: one file each.

mod proxy_anchor;
mod proxy_nca;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

pub use proxy_anchor::{PositiveMean, ProxyAnchorConfig, proxy_anchor_loss};
pub use proxy_nca::{proxy_nca_loss, proxy_nca_softmax_loss};

/// Which loss, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Proxy-Anchor (Kim et al., 2020).
    #[default]
    ProxyAnchor,
    /// The authors' Proxy-NCA mode: Proxy-Anchor's terms with the sums taken over proxies for each sample.
    ProxyNca,
    /// Proxy-NCA as a softmax over squared distances (Movshovitz-Attias et al., 2017; pytorch-metric-learning).
    ProxyNcaSoftmax,
}

/// Which proxies enter the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyRange {
    /// All C proxies (`both_all` in the authors' code).
    #[default]
    All,
    /// Those of the batch's classes (`in_batch`).
    InBatch,
}

/// Options of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which one.
    pub kind: LossKind,
    /// Which proxies it sees.
    pub range: ProxyRange,
    /// Scales and margins of Proxy-Anchor and of the authors' Proxy-NCA.
    pub anchor: ProxyAnchorConfig,
    /// Factor of the squared distances in `proxy-nca-softmax`.
    pub softmax_scale: f64,
}

impl Default for LossConfig {
    /// The method's loss.
    fn default() -> Self {
        Self {
            kind: LossKind::default(),
            range: ProxyRange::default(),
            anchor: ProxyAnchorConfig::default(),
            softmax_scale: 1.0,
        }
    }
}

impl LossConfig {
    /// The loss of unit `embeddings` `[B, E]` against unit `proxies` `[C, E]`; `labels[b]` is a row of `proxies`.
    pub fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        match self.kind {
            LossKind::ProxyAnchor => proxy_anchor_loss(embeddings, proxies, labels, &self.anchor),
            LossKind::ProxyNca => proxy_nca_loss(embeddings, proxies, labels, &self.anchor),
            LossKind::ProxyNcaSoftmax => proxy_nca_softmax_loss(embeddings, proxies, labels, self.softmax_scale),
        }
    }
}

/// 1 where sample b belongs to proxy c, else 0; `[B, C]`.
fn membership(labels: &[usize], like: &Tensor<2>) -> Tensor<2> {
    let [batch, classes] = like.dims();
    let mut values = vec![0.0f32; batch * classes];
    for (row, label) in labels.iter().enumerate() {
        values[row * classes + label] = 1.0;
    }
    Tensor::from_data(TensorData::new(values, [batch, classes]), &like.device())
}
