//! The settings of a run: one TOML, unknown keys are errors, the resolved form is saved beside every result.
//!
//! Settings come in layers, later ones winning: defaults, the method's preset, the file, the command line.

mod layers;
mod method;
mod selection;
mod variant;

use std::path::PathBuf;

use kinsight_data::Interpolation;
use kinsight_data::SplitRule;
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::{Compute, Pooling, Tuning, VitConfig};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::loss::LossConfig;
use crate::miner::MinerKind;
use crate::optim::OptimizerConfig;
use crate::prompt_spread::PromptSpreadConfig;
use crate::proxies::{ProxyConfig, ProxySource};
use crate::sampler::SamplingConfig;

pub use layers::{Overrides, parse_assignment};
pub use method::{METHODS, MethodEngine, MethodPart, parse_method};
pub use selection::{Keep, SelectionConfig, SelectionMetric};
pub use variant::Variant;

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Method by name, parts joined by `+`, as `vptsp-g+bitfit`; sets `tuning` and `proxies`.
    #[serde(deserialize_with = "method::name_or_parts")]
    pub method: String,
    /// Whether the authors' code or the paper is followed where they disagree.
    pub variant: Variant,
    /// Registry name or path of the backbone.
    pub backbone: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Passes over the training images.
    pub epochs: usize,
    /// Evaluate on the test classes every so many epochs, 0 for the end alone; `None` evaluates about ten times.
    pub eval_every: Option<usize>,
    /// Also evaluate every so many steps; 0 for none. Takes the place of `eval_every`.
    pub eval_every_steps: usize,
    /// Write TensorBoard event files into the run folder.
    pub tensorboard: bool,
    /// Write a checkpoint every so many steps besides the one after each epoch; 0 for none.
    pub checkpoint_every_steps: usize,
    /// Leave timings out of the run's files, so that equal runs leave equal files.
    pub deterministic: bool,
    /// Images and their split.
    pub data: DataConfig,
    /// Which state is kept, and when to stop early.
    pub selection: SelectionConfig,
    /// What is attached to the backbone and what trains.
    pub tuning: Tuning,
    /// Where proxies come from.
    pub proxies: ProxyConfig,
    /// Loss.
    pub loss: LossConfig,
    /// Drawing prompts to the classes they stand for (DA-VPT).
    pub prompt_spread: PromptSpreadConfig,
    /// Optimizer and schedule.
    pub optimizer: OptimizerConfig,
    /// Batch make-up.
    pub sampling: SamplingConfig,
    /// How blocks are computed.
    pub compute: Compute,
}

/// Images of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A folder of class folders, a folder with `train/` and `test/`, a known data set's folder, or a CSV or Parquet file.
    pub path: PathBuf,
    /// How classes divide into train and test; `None` goes by the path.
    pub split: Option<SplitRule>,
    /// Whether a class may be in both.
    pub allow_overlap: bool,
    /// Share of the training classes that is set apart to select a model on; 0 for none.
    pub validation_share: f64,
    /// Input size in pixels; `None` takes the backbone's.
    pub image_size: Option<usize>,
    /// Resampling filter; `None` takes the backbone's.
    pub interpolation: Option<Interpolation>,
    /// The smallest share of an image that a training crop shows.
    pub min_crop_area: f64,
    /// Threads that decode images; 0 for one a core.
    pub workers: usize,
    /// Decoded images kept in memory, at most this many GiB.
    pub cache_gb: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            split: None,
            allow_overlap: false,
            validation_share: 0.0,
            image_size: None,
            interpolation: None,
            min_crop_area: 0.08,
            workers: 0,
            cache_gb: 1.0,
        }
    }
}

/// More prompts in a block than any image has patches are a mistake.
const MOST_PROMPTS: usize = 1 << 16;

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: "vptsp-g+bitfit".into(),
            variant: Variant::default(),
            backbone: "vit_small_patch16_224_in21k".into(),
            seed: 0,
            epochs: 20,
            eval_every: None,
            eval_every_steps: 0,
            tensorboard: false,
            checkpoint_every_steps: 0,
            deterministic: false,
            data: DataConfig::default(),
            selection: SelectionConfig::default(),
            tuning: Tuning::default(),
            proxies: ProxyConfig::default(),
            loss: LossConfig::default(),
            prompt_spread: PromptSpreadConfig::default(),
            optimizer: OptimizerConfig::default(),
            sampling: SamplingConfig::default(),
            compute: Compute::default(),
        }
    }
}

impl TrainConfig {
    /// Fits defaults to the backbone and checks that the settings agree with it and with each other.
    ///
    /// Pooling becomes what the backbone was trained with; the embedding size becomes the backbone's width, at most 512; prompts deeper than the backbone end with it.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the setting.
    pub fn resolve(mut self, backbone: &VitConfig, pooling: Pooling) -> Result<Self, TrainError> {
        let fail = |message: &str, hint: &str| {
            Err(TrainError::Config { message: message.to_string(), hint: hint.to_string() })
        };
        backbone.check_pooling(*self.tuning.pooling.get_or_insert(pooling))?;
        self.tuning.embedding.get_or_insert(backbone.width.min(512));
        self.check_methods(backbone)?;
        let class_prompts = &mut self.proxies.class_prompts;
        let schedules = self.tuning.prompts.iter_mut().map(|prompts| ("tuning.prompts", prompts));
        for (name, schedule) in schedules.chain([("proxies.class_prompts", class_prompts)]) {
            schedule.depth = schedule.depth.min(backbone.depth);
            let PromptSchedule { count, depth, .. } = *schedule;
            if depth == 0 || !(1..=MOST_PROMPTS).contains(&count) {
                let message = format!(
                    "{name} has count {count} and depth {depth}, expected 1 to {MOST_PROMPTS} prompts in at least one block"
                );
                return fail(&message, "the paper uses 10 in each block; a method without prompts leaves them out");
            }
        }
        if let Some(adapter) = &mut self.tuning.adapter {
            adapter.blocks = adapter.blocks.min(backbone.depth);
            if adapter.bottleneck == 0 {
                return fail("tuning.adapter.bottleneck is 0", "the paper uses 256");
            }
        }
        self.optimizer.cosine_length.get_or_insert(self.epochs.max(1));
        self.eval_every.get_or_insert(self.epochs.div_ceil(10).max(1));
        let rates = [("optimizer.lr", self.optimizer.lr), ("optimizer.lr_proxies", self.optimizer.lr_proxies)];
        if let Some((name, rate)) = rates.iter().find(|(_, rate)| !(rate.is_finite() && *rate >= 0.0)) {
            return fail(&format!("{name} is {rate}, expected a number of at least 0"), "");
        }
        if self.tuning.embedding == Some(0) {
            return fail("tuning.embedding is 0", "the authors use 384 for ViT-S and 512 for ViT-B");
        }
        if self.epochs == 0 {
            return fail(
                "epochs is 0, expected at least 1",
                "use `kinsight eval --backbone` for the untrained backbone",
            );
        }
        if self.proxies.memory_bank && self.proxies.source != ProxySource::Semantic {
            return fail(
                "proxies.memory_bank needs class prompts",
                "set proxies.source = \"semantic\" (method vptsp-m or vptsp-g), or leave the bank out",
            );
        }
        if self.loss.miner.kind != MinerKind::None && self.loss.compares_proxies() {
            let message = format!("loss.miner chooses pairs, and the loss {} has none", self.loss.kind.name());
            return fail(&message, "set loss.miner.kind = \"none\", or take a loss between samples such as triplet");
        }
        if self.loss.soft_triple.centers == 0 {
            return fail("loss.soft_triple.centers is 0", "the paper uses 10");
        }
        if !(0.0..=1.0).contains(&self.proxies.learned_share) {
            return fail("proxies.learned_share is outside 0 to 1", "");
        }
        SelectionConfig::check(&self)?;
        if !(0.0..1.0).contains(&self.proxies.accumulator.dropout) {
            return fail("proxies.accumulator.dropout is outside 0 to below 1", "");
        }
        Ok(self)
    }

    /// Fits what a method attaches to the backbone, and checks it.
    fn check_methods(&mut self, backbone: &VitConfig) -> Result<(), TrainError> {
        let fail = |message: String, hint: &str| Err(TrainError::Config { message, hint: hint.to_string() });
        if let Some(lora) = &self.tuning.lora {
            let largest = backbone.width;
            if lora.rank == 0 || lora.rank > largest {
                let message = format!("tuning.lora.rank is {}, expected 1 to the width {largest}", lora.rank);
                return fail(message, "4 to 16 is usual");
            }
            if lora.targets.is_empty() {
                return fail("tuning.lora.targets names no layer".into(), "choose among qkv, proj and mlp");
            }
            if !(0.0..1.0).contains(&lora.dropout) {
                return fail("tuning.lora.dropout is outside 0 to below 1".into(), "");
            }
            if lora.dora && lora.dropout > 0.0 {
                return fail("tuning.lora.dropout does not go with dora".into(), "set it to 0, or use method lora");
            }
        }
        self.tuning.last_blocks = self.tuning.last_blocks.min(backbone.depth);
        let last = self.tuning.last_blocks;
        self.tuning.first_trained_block = (last > 0).then(|| backbone.depth - last);
        if self.tuning.shallow_prompts {
            let Some(prompts) = &mut self.tuning.prompts else {
                let hint = "set tuning.prompts.count and depth, or use method vpt-shallow";
                return fail("tuning.shallow_prompts without tuning.prompts".into(), hint);
            };
            (prompts.depth, prompts.step) = (1, 0);
            if backbone.rotary_theta.is_some() {
                let message = "shallow prompts have no place among rotary positions".to_string();
                return fail(message, "use method vpt, whose prompts every block adds anew");
            }
        }
        if self.prompt_spread.weight != 0.0 && (self.tuning.prompts.is_none() || self.tuning.shallow_prompts) {
            return fail("prompt_spread needs prompts inside the blocks".into(), "use method da-vpt, or vpt with it");
        }
        if !(self.optimizer.layer_decay > 0.0 && self.optimizer.layer_decay <= 1.0) {
            let message = format!("optimizer.layer_decay is {}, expected above 0 to 1", self.optimizer.layer_decay);
            return fail(message, "0.65 to 0.85 is usual for a ViT");
        }
        Ok(())
    }

    /// The settings as TOML.
    ///
    /// # Errors
    /// [`TrainError::Config`] if a value cannot be written.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string_pretty(self)
            .map_err(|error| TrainError::Config { message: error.to_string(), hint: String::new() })
    }

    /// Every setting as `(dotted key, value)`, for reports and comparisons.
    pub fn flattened(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        if let Ok(value) = toml::Value::try_from(self) {
            layers::flatten("", &value, &mut rows);
        }
        rows
    }
}
