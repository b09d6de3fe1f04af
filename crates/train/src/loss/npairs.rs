//! N-pairs loss: one positive pair of each class, and the positives of the other classes as negatives.
//!
//! ```text
//! L = mean_i log(1 + sum_{j != i} exp(a_i p_j - a_i p_i))
//! ```
//! Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016, equation 9, without its
//! regularizer and with normalized embeddings, as in pytorch-metric-learning.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{PairLoss, Pairs, membership, reduce};

/// The loss has no options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NPairsConfig {}

impl PairLoss for NPairsConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let size = pairs.selection.size();
        let mut first_pair = BTreeMap::new();
        // A proxy is its class's positive, where there is one.
        let samples = size - pairs.proxies;
        for anchor in 0..size {
            let mut others = (samples..size).chain(0..samples);
            if let Some(positive) = others.find(|other| pairs.selection.is_positive(anchor, *other)) {
                first_pair.entry(pairs.labels[anchor]).or_insert((anchor as i64, positive as i64));
            }
        }
        if first_pair.is_empty() {
            return pairs.nothing();
        }
        let (anchors, positives): (Vec<i64>, Vec<i64>) = first_pair.into_values().unzip();
        let count = anchors.len();
        let device = pairs.similarity.device();
        let index = |rows: Vec<i64>| Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device);
        let logits = pairs.similarity.clone().select(0, index(anchors)).select(1, index(positives));
        let own = membership(&(0..count).collect::<Vec<_>>(), &logits);
        reduce::cross_entropy(logits, own)
    }
}
