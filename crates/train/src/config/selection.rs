//! Which state of a run is kept, and when a run ends early: decided on validation classes, never on the test classes.

use kinsight_retrieval::Evaluation;
use serde::{Deserialize, Serialize};

use super::TrainConfig;
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
    /// Its value in an evaluation.
    pub fn of(self, evaluation: &Evaluation) -> f64 {
        let name = match self {
            Self::MapAtR => "map@r",
            Self::RecallAt1 => "recall@1",
            Self::RPrecision => "r_precision",
        };
        evaluation.get(name).unwrap_or_default()
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
    /// End the run after so many evaluations in a row without a better one on the validation classes; 0 never.
    pub patience: usize,
}

impl SelectionConfig {
    /// Refuses what would select on the test classes, and parts that do not go together.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the setting.
    pub fn check(config: &TrainConfig) -> Result<(), TrainError> {
        let fail = |message: &str, hint: &str| {
            Err(TrainError::Config { message: message.to_string(), hint: hint.to_string() })
        };
        let share = config.data.validation_share;
        if !(0.0..1.0).contains(&share) {
            return fail(
                &format!("data.validation_share is {share}, expected 0 to below 1"),
                "a tenth to a fifth is usual",
            );
        }
        let validates = share > 0.0;
        let carve = "carve validation classes from the training classes with data.validation_share = 0.2";
        if config.selection.keep == Keep::Best && !validates {
            return fail("selection.keep = \"best\" would select on the test classes", carve);
        }
        if config.selection.patience > 0 && !validates {
            return fail("selection.patience (early stopping) would look at the test classes", carve);
        }
        if !(0.0..1.0).contains(&config.optimizer.ema_decay) {
            return fail("optimizer.ema_decay is outside 0 to below 1", "0.99 to 0.999 is usual; 0 is none");
        }
        if config.optimizer.accumulate == 0 {
            return fail("optimizer.accumulate is 0", "1 updates after every batch");
        }
        if config.optimizer.accumulate > 1 && config.proxies.memory_bank {
            return fail(
                "optimizer.accumulate and proxies.memory_bank do not go together",
                "the bank updates rows batch by batch; choose one of the two",
            );
        }
        Ok(())
    }
}
