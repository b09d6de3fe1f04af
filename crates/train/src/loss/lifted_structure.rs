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

settings! {
    /// Options. Defaults: pytorch-metric-learning's margins.
    LiftedStructureConfig {
        /// Which of the two forms.
        form: LiftedForm = LiftedForm::default(),
        /// Negatives should be farther than this, m.
        negative_margin: f64 = 1.0,
        /// Positives should be nearer than this, q.
        positive_margin: f64 = 0.0,
    }
}

impl PairLoss for LiftedStructureConfig {
    fn value(&self, pairs: &Pairs<'_>, _: Option<Tensor<1>>) -> Tensor<1> {
        let distance = pairs.distances();
        let far = distance.clone().sub_scalar(self.positive_margin);
        match self.form {
            LiftedForm::Generalized => {
                let positive = reduce::log_sum_exp(far, &pairs.positive, false);
                let near = distance.neg().add_scalar(self.negative_margin);
                let negative = reduce::log_sum_exp(near, &pairs.negative, false);
                activation::relu(positive + negative).mean()
            }
            LiftedForm::Original if pairs.selection.has() == (true, true) => {
                // Distances are at most 2, so exponentials without the margin need no care.
                let of_anchor = (distance.neg().exp() * pairs.negative.clone()).sum_dim(1);
                let of_both = of_anchor.clone() + of_anchor.transpose();
                let none = of_both.clone().detach().equal_elem(0.0).float();
                let margin = none.clone().neg().add_scalar(1.0).mul_scalar(self.negative_margin);
                let lifted = (of_both + none).log() + margin + far;
                let losses = activation::relu(lifted).square().div_scalar(2.0) * pairs.positive.clone();
                losses.sum().div(pairs.positive.clone().sum())
            }
            LiftedForm::Original => pairs.nothing(),
        }
    }
}
