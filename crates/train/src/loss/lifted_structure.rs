//! Lifted structure loss, in its generalized and in its original form.
//!
//! ```text
//! generalized: L = mean_i max( log sum_{p in P_i} e^(d_ip - q) + log sum_{n in N_i} e^(m - d_in), 0 )
//! original:    L = mean over positive pairs (i, j) of
//!                  1/2 max( log( sum_{n in N_i} e^(m - d_in) + sum_{n in N_j} e^(m - d_jn) ) + d_ij - q, 0 )²
//! ```
//! Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, equation 6; Song et al.,
//! "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016, equation 4.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{PairLoss, Pairs, reduce};

/// Which of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiftedForm {
    /// All positives of a sample against all its negatives (`GeneralizedLiftedStructureLoss`).
    #[default]
    Generalized,
    /// Each positive pair against the negatives of both its samples (`LiftedStructureLoss`).
    Original,
}

/// Options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiftedStructureConfig {
    /// Which of the two forms.
    pub form: LiftedForm,
    /// Negatives should be farther than this, m.
    pub negative_margin: f64,
    /// Positives should be nearer than this, q.
    pub positive_margin: f64,
}

impl Default for LiftedStructureConfig {
    /// pytorch-metric-learning's margins.
    fn default() -> Self {
        Self { form: LiftedForm::default(), negative_margin: 1.0, positive_margin: 0.0 }
    }
}

impl PairLoss for LiftedStructureConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let distance = pairs.distances();
        let far = distance.clone().sub_scalar(self.positive_margin);
        let near = distance.neg().add_scalar(self.negative_margin);
        match self.form {
            LiftedForm::Generalized => {
                let positive = reduce::log_sum_exp(far, &pairs.positive, false);
                let negative = reduce::log_sum_exp(near, &pairs.negative, false);
                activation::relu(positive + negative).mean()
            }
            LiftedForm::Original if pairs.selection.has() == (true, true) => {
                // Distances are at most 2, so the exponentials need no care.
                let of_anchor = (near.exp() * pairs.negative.clone()).sum_dim(1);
                let of_both = of_anchor.clone() + of_anchor.transpose();
                let none = of_both.clone().detach().equal_elem(0.0).float();
                let lifted = (of_both + none).log() + far;
                let losses = activation::relu(lifted).square().div_scalar(2.0) * pairs.positive.clone();
                losses.sum().div(pairs.positive.clone().sum())
            }
            LiftedForm::Original => pairs.nothing(),
        }
    }
}
