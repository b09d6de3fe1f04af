//! What a model must know of the run that made it.
//!
//! Names, numbering and figures are stored with the weights because nothing else says them reliably: the images may have
//! moved, and labels are numbered after validation classes were set apart.

use std::path::PathBuf;

use kinsight_data::SplitRule;
use serde::{Deserialize, Serialize};

use crate::engine::Precision;

/// Facts of a run, for explanations, audits, reports and cards: each sentence about a run follows from these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingFacts {
    /// The method's name, as `vptsp-g+bitfit`.
    pub method: String,
    /// Arithmetic of the matrix products; embeddings are made in it unless another is asked for.
    pub precision: Precision,
    /// Where the images were, absolute.
    pub data: PathBuf,
    /// How classes were divided.
    pub split: SplitRule,
    /// Names of the classes trained on, in the order of their labels: without those set apart for validation.
    pub class_names: Vec<String>,
    /// Learned proxies of each class; more than one with soft-triple.
    pub centers_per_class: usize,
    /// Images trained on.
    pub train_images: usize,
    /// Classes set apart to select a model on.
    pub validation_classes: usize,
    /// Images and classes measured on, and who searches among whom.
    pub test: TestFacts,
    /// Epochs that were finished; fewer than were asked for after early stopping.
    pub epochs: usize,
    /// Epochs that were asked for.
    pub epochs_asked: usize,
    /// Optimizer steps that were done.
    pub steps: u64,
    /// The step after which the stored state was taken; less than `steps` where an earlier state was the best on the
    /// validation classes.
    pub kept_step: u64,
}

/// What a run was measured on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFacts {
    /// Images, distractors included.
    pub images: usize,
    /// Classes, without distractors.
    pub classes: usize,
    /// Those among them that were also trained or selected on: figures of these are not of unseen classes.
    pub seen_classes: usize,
    /// Images that search.
    pub queries: usize,
    /// Images that are searched.
    pub gallery: usize,
    /// Gallery images without a class.
    pub distractors: usize,
    /// Groups that are also measured each by itself.
    pub groups: usize,
}

impl TestFacts {
    /// Whether no class was trained or selected on.
    pub fn are_unseen(&self) -> bool {
        self.seen_classes == 0
    }

    /// Whether every image searches among all others.
    pub fn is_self_search(&self) -> bool {
        self.queries == self.images && self.gallery == self.images
    }
}

impl TrainingFacts {
    /// Whether training ended before the epochs that were asked for.
    pub fn stopped_early(&self) -> bool {
        self.epochs < self.epochs_asked
    }
}
