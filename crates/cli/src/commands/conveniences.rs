//! Flags of `train` for model selection and long runs, each a shorthand of a setting.

use clap::Args;
use kinsight_train::config::Overrides;
use toml::Value;

/// Model selection, averaging and watching.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection and averaging")]
pub struct ConvenienceArgs {
    /// Share of the training classes to set aside for model selection [default: 0]
    #[arg(long, value_name = "SHARE")]
    validation_share: Option<f64>,
    /// Which model to keep: the best on the validation classes, or the final one
    #[arg(long, value_parser = ["final", "best"])]
    keep: Option<String>,
    /// Metric for `--keep best` and early stopping; map@r if not given
    #[arg(long, value_name = "METRIC", value_parser = ["map@r", "recall@1", "r_precision"])]
    select_by: Option<String>,
    /// Stop after this many evaluations in a row without improvement on the validation classes
    #[arg(long, value_name = "EVALUATIONS")]
    early_stopping: Option<i64>,
    /// Evaluate after this many steps, instead of by epoch
    #[arg(long, value_name = "STEPS")]
    eval_every_steps: Option<i64>,
    /// Decay of a moving average of the trained parameters, which is evaluated and kept, such as 0.99 [default: 0, none]
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Average the gradients of this many batches for each update
    #[arg(long, value_name = "BATCHES")]
    accumulate: Option<i64>,
    /// Steps of linear warmup of the learning rates from zero
    #[arg(long, value_name = "STEPS")]
    warmup_steps: Option<i64>,
    /// Write TensorBoard event files into the run folder
    #[arg(long)]
    tensorboard: bool,
}

impl ConvenienceArgs {
    /// Puts the flags over the settings.
    pub fn apply(self, overrides: &mut Overrides) {
        let Self {
            validation_share,
            keep,
            select_by,
            early_stopping,
            eval_every_steps,
            ema,
            accumulate,
            warmup_steps,
            tensorboard,
        } = self;
        let settings: [(&str, Option<Value>); 9] = [
            ("data.validation_share", validation_share.map(Value::from)),
            ("selection.keep", keep.map(Value::from)),
            ("selection.metric", select_by.map(Value::from)),
            ("selection.patience", early_stopping.map(Value::from)),
            ("eval_every_steps", eval_every_steps.map(Value::from)),
            ("optimizer.ema_decay", ema.map(Value::from)),
            ("optimizer.accumulate", accumulate.map(Value::from)),
            ("optimizer.warmup_steps", warmup_steps.map(Value::from)),
            ("tensorboard", tensorboard.then(|| true.into())),
        ];
        for (key, value) in settings {
            value.into_iter().for_each(|value| overrides.set(key, value));
        }
    }
}
