//! Flags of `train` for model selection and long runs, each a shorthand of a setting.

use clap::{Args, ValueEnum};
use kinsight_train::config::Overrides;

/// Model selection, averaging and watching.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection and averaging")]
pub struct ConvenienceArgs {
    /// Share of the training classes to select a model on [default: 0, none]
    #[arg(long, value_name = "SHARE")]
    validation_share: Option<f64>,
    /// Which state to keep: `best` on the validation classes, or the final one
    #[arg(long, value_enum)]
    keep: Option<KeepArg>,
    /// What `best` and early stopping compare; map@r if not given
    #[arg(long, value_name = "METRIC", value_parser = ["map@r", "recall@1", "r_precision"])]
    select_by: Option<String>,
    /// Stop after so many evaluations without a better one on the validation classes
    #[arg(long, value_name = "EVALUATIONS")]
    early_stopping: Option<i64>,
    /// Evaluate every so many steps instead of by epoch
    #[arg(long, value_name = "STEPS")]
    eval_every_steps: Option<i64>,
    /// Measure and keep the moving average of the trained parameters, as 0.99 [default: 0, none]
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Average the gradients of so many batches before each update
    #[arg(long, value_name = "BATCHES")]
    accumulate: Option<i64>,
    /// Steps over which the learning rates rise from zero
    #[arg(long, value_name = "STEPS")]
    warmup_steps: Option<i64>,
    /// Write TensorBoard event files into the run folder
    #[arg(long)]
    tensorboard: bool,
}

/// `--keep`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeepArg {
    /// After the last step
    Final,
    /// Best on the validation classes
    Best,
}

impl ConvenienceArgs {
    /// Puts the flags over the settings.
    pub fn apply(&self, overrides: &mut Overrides) {
        let keep = self.keep.map(|keep| match keep {
            KeepArg::Final => "final",
            KeepArg::Best => "best",
        });
        for (key, value) in [("selection.keep", keep), ("selection.metric", self.select_by.as_deref())] {
            if let Some(value) = value {
                overrides.set(key, value);
            }
        }
        for (key, value) in [("data.validation_share", self.validation_share), ("optimizer.ema_decay", self.ema)] {
            if let Some(value) = value {
                overrides.set(key, value);
            }
        }
        for (key, value) in [
            ("selection.patience", self.early_stopping),
            ("eval_every_steps", self.eval_every_steps),
            ("optimizer.accumulate", self.accumulate),
            ("optimizer.warmup_steps", self.warmup_steps),
        ] {
            if let Some(value) = value {
                overrides.set(key, value);
            }
        }
        if self.tensorboard {
            overrides.set("tensorboard", true);
        }
    }
}
