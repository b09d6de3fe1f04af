//! Margin loss: a boundary between near and far that may be learned.
//!
//! ```text
//! L = sum over triplets [ max(d_ap - b + m, 0) + max(b - d_an + m, 0) ] / (terms above zero)  +  nu * b
//! ```
//! Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, equations 5 and 6; its miner is
//! `distance-weighted`. Where b is learned, what is learned is its difference from `beta`, so that it starts at zero and
//! weight decay draws it there.

use burn::tensor::{Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::{PairLoss, Pairs};

/// What of the boundary is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnBeta {
    /// Nothing.
    #[default]
    No,
    /// One for all classes.
    Shared,
    /// One for each class.
    PerClass,
}

settings! {
    /// Options. Defaults: the source's, with a fixed boundary as pytorch-metric-learning's default.
    MarginConfig {
        /// Distance m that positives and negatives keep from the boundary.
        margin: f64 = 0.2,
        /// The boundary b, or where it starts.
        beta: f64 = 1.2,
        /// Weight of a learned boundary in the loss.
        nu: f64 = 0.0,
        /// Whether the boundary is learned.
        learn_beta: LearnBeta = LearnBeta::No,
    }
}

impl PairLoss for MarginConfig {
    fn learned(&self, classes: usize) -> usize {
        match self.learn_beta {
            LearnBeta::No => 0,
            LearnBeta::Shared => 1,
            LearnBeta::PerClass => classes,
        }
    }

    fn value(&self, pairs: &Pairs<'_>, learned: Option<Tensor<1>>) -> Tensor<1> {
        let triplets = pairs.selection.triplets();
        let Some([positive, negative]) = pairs.triplet_distances(&triplets) else { return pairs.nothing() };
        let offset = learned.map(|learned| match self.learn_beta {
            LearnBeta::PerClass => {
                let labels: Vec<i64> = triplets.iter().map(|[anchor, ..]| pairs.labels[*anchor] as i64).collect();
                let count = labels.len();
                learned.select(0, Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &positive.device()))
            }
            LearnBeta::Shared | LearnBeta::No => learned,
        });
        let from_boundary = |distance: Tensor<1>| match &offset {
            Some(offset) => distance.sub_scalar(self.beta) - offset.clone(),
            None => distance.sub_scalar(self.beta),
        };
        let far = activation::relu(from_boundary(positive).add_scalar(self.margin));
        let near = activation::relu(from_boundary(negative).neg().add_scalar(self.margin));
        let above = |values: &Tensor<1>| values.clone().detach().greater_elem(0.0).float().sum().into_scalar::<f64>();
        let divisor = (above(&far) + above(&near)).max(1.0);
        let loss = (far + near).sum().div_scalar(divisor);
        match offset {
            Some(offset) if self.nu != 0.0 => {
                let boundary = offset.add_scalar(self.beta).mul_scalar(self.nu);
                match self.learn_beta {
                    LearnBeta::PerClass => loss + boundary.sum().div_scalar(divisor),
                    LearnBeta::Shared | LearnBeta::No => loss + boundary,
                }
            }
            _ => loss,
        }
    }
}
