//! Which state of a run is kept, and when a run ends early: decided on validation classes, never on the test classes.

use kinsight_retrieval::Evaluation;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// What a model is selected by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectionMetric {
    /// MAP@R
    #[default]
    #[serde(rename = "map@r")]
    MapAtR,
    /// Recall@1
    #[serde(rename = "recall@1")]
    RecallAt1,
    /// R-precision
    #[serde(rename = "r_precision")]
    RPrecision,
}

impl SelectionMetric {
    /// Its value in an evaluation by the default metrics.
    #[expect(clippy::expect_used, reason = "the default metrics, which a run is measured by, have it")]
    pub fn of(self, evaluation: &Evaluation) -> f64 {
        let name = match self {
            Self::MapAtR => "map@r",
            Self::RecallAt1 => "recall@1",
            Self::RPrecision => "r_precision",
        };
        evaluation.get(name).expect("a metric of a run's evaluation")
    }
}

/// Which state `model.safetensors` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The state after the last step.
    #[default]
    Final,
    /// The state that was best on the validation classes.
    Best,
}

/// Model selection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectionConfig {
    /// What is compared.
    pub metric: SelectionMetric,
    /// What is kept.
    pub keep: Keep,
    /// Evaluations in a row without improvement on the validation classes after which the run ends; 0 for never.
    pub patience: usize,
}

impl SelectionConfig {
    /// Refuses what would select on the test classes; `validates` says whether there are validation classes.
    pub(super) fn check(&self, validates: bool) -> Result<(), TrainError> {
        let message = match (self.keep, self.patience) {
            _ if validates => return Ok(()),
            (Keep::Best, _) => "selection.keep = \"best\" would select on the test classes",
            (Keep::Final, 1..) => "selection.patience (early stopping) would look at the test classes",
            (Keep::Final, 0) => return Ok(()),
        };
        let carve = "set aside validation classes with data.validation_share = 0.2";
        Err(TrainError::config(message, carve))
    }
}
