//! Exponential moving average of the proxy tower's outputs (VPTSP-M).

use burn::tensor::Tensor;
use kinsight_model::head::l2_normalize;
use serde::{Deserialize, Serialize};

use super::{AccumulatorConfig, each_sample};

/// How the average of the new samples enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmaUpdate {
    /// `keep * Z + (1 - keep) * mean(p)`: the authors' code.
    #[default]
    Mix,
    /// `normalize(Z + (1 - keep) * p)`, sample by sample: the paper's equation.
    Add,
}

/// New states `[G, E]` from old ones and `samples` `[G, k, E]`.
pub(super) fn update(old: Tensor<2>, samples: &Tensor<3>, config: &AccumulatorConfig) -> Tensor<2> {
    let fresh = 1.0 - config.ema_keep;
    match config.ema_update {
        EmaUpdate::Mix => old * config.ema_keep + samples.clone().mean_dim(1).squeeze_dim::<2>(1) * fresh,
        EmaUpdate::Add => each_sample(samples).fold(old, |state, sample| l2_normalize(state + sample * fresh)),
    }
}
