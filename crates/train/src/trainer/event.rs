//! What a run reports, and what it returns.

use kinsight_model::{Encoder, TrainingFacts};

use crate::bank::BankCost;
use crate::evaluation::Measured;

/// What a run reports to its observer.
#[derive(Debug)]
pub enum Event<'a> {
    /// Everything is loaded; training starts or goes on.
    Started(&'a RunFacts),
    /// One step is done.
    Step {
        /// Steps so far.
        step: u64,
        /// Steps of the whole run.
        total: u64,
        /// Epoch, from 0.
        epoch: usize,
        /// Loss of the batch.
        loss: f64,
        /// Images a second, of this step.
        images_per_second: f64,
    },
    /// An evaluation is done.
    Evaluated {
        /// Epochs finished.
        epochs: usize,
        /// Metrics on the test classes.
        measured: &'a Measured,
        /// Metrics on the validation classes, where there are any.
        validation: Option<&'a Measured>,
    },
    /// Something the user should know.
    Warning(&'a str),
    /// The validation classes have not improved for as many evaluations as the settings allow; the run ends here.
    StoppedEarly,
    /// The run was asked to stop and has saved a checkpoint.
    Stopped,
}

/// Sizes of a run, known before the first step.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Images and classes trained on.
    pub train: (usize, usize),
    /// Images and classes measured on.
    pub test: (usize, usize),
    /// Scalars of the whole learner: backbone, what is attached, proxies, class prompts.
    pub parameters: usize,
    /// Scalars that train, class prompts in a bank included.
    pub trainable: usize,
    /// Scalars that train and are kept in `model.safetensors`.
    pub kept: usize,
    /// What the prompt memory bank takes, if there is one.
    pub bank: Option<BankCost>,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps that were already done.
    pub resumed_at: u64,
}

/// A finished or stopped run.
#[derive(Debug)]
pub struct Outcome {
    /// Sizes.
    pub facts: RunFacts,
    /// What happened in it, as the model stores it; none if the run was stopped before its end.
    pub training: Option<TrainingFacts>,
    /// The final evaluation; none if the run was stopped before its end.
    pub measured: Option<Measured>,
    /// The trained encoder.
    pub encoder: Encoder,
    /// Seconds of training, evaluations left out.
    pub seconds: f64,
}
