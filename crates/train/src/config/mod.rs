//! The settings of a run: one TOML, unknown keys are errors, the resolved form is saved with every result.
//!
//! Settings come in layers, later ones winning: defaults, the method's preset, the file, the command line.

mod bounds;
mod layers;
mod method;
mod selection;
mod variant;

use std::path::{Path, PathBuf};

use kinsight_data::Interpolation;
use kinsight_data::SplitRule;
use kinsight_model::open::absolute_if_path;
use kinsight_model::{Compute, Pooling, Tuning, VitConfig};

use crate::da_vpt::DaVptConfig;
use crate::error::TrainError;
use crate::loss::LossConfig;
use crate::optim::OptimizerConfig;
use crate::proxies::ProxyConfig;
use crate::sampler::SamplingConfig;

pub use layers::{Overrides, parse_assignment, read_saved};
pub use method::{METHODS, MethodEngine, MethodPart, parse_method};
pub use selection::{Keep, SelectionConfig, SelectionMetric};
pub use variant::Variant;

settings! {
    /// Everything that decides a run.
    TrainConfig {
        /// Method by name, parts joined by `+`, as `vptsp-g+bitfit`; sets `tuning` and `proxies`.
        #[serde(deserialize_with = "method::name_or_parts")]
        method: String = "vptsp-g+bitfit".into(),
        /// Whether the authors' code or the paper is followed where they disagree.
        variant: Variant = Variant::default(),
        /// Registry name or path of the backbone.
        backbone: String = "vit_small_patch16_224_in21k".into(),
        /// Seed of every random choice.
        seed: u64 = 0,
        /// Passes over the training images.
        epochs: usize = 20,
        /// Epochs between evaluations on the test classes, 0 for one at the end; `None` evaluates about ten times.
        eval_every: Option<usize> = None,
        /// Steps between evaluations; replaces `eval_every` unless it is 0.
        eval_every_steps: usize = 0,
        /// Write TensorBoard event files into the run folder.
        tensorboard: bool = false,
        /// Steps between checkpoints, in addition to the one after each epoch; 0 for none.
        checkpoint_every_steps: usize = 0,
        /// Leave timings out of the run's files, so that equal runs leave equal files.
        deterministic: bool = false,
        /// Images and their split.
        data: DataConfig = DataConfig::default(),
        /// Which state is kept, and when to stop early.
        selection: SelectionConfig = SelectionConfig::default(),
        /// What is attached to the backbone and what trains.
        tuning: Tuning = Tuning::default(),
        /// Where proxies come from.
        proxies: ProxyConfig = ProxyConfig::default(),
        /// Loss.
        loss: LossConfig = LossConfig::default(),
        /// Drawing prompts to the classes they stand for (DA-VPT).
        #[serde(alias = "prompt_spread")]
        da_vpt: DaVptConfig = DaVptConfig::default(),
        /// Optimizer and schedule.
        optimizer: OptimizerConfig = OptimizerConfig::default(),
        /// Batch make-up.
        sampling: SamplingConfig = SamplingConfig::default(),
        /// How blocks are computed.
        compute: Compute = Compute::default(),
    }
}

settings! {
    /// Images of a run.
    DataConfig {
        /// A folder of class folders, a folder with `train/` and `test/`, a known data set's folder, or a CSV or Parquet file.
        path: PathBuf = PathBuf::new(),
        /// How classes divide into train and test; `None` goes by the path.
        split: Option<SplitRule> = None,
        /// Whether a class may be in both.
        allow_overlap: bool = false,
        /// Share of the training classes that is set apart to select a model on; 0 for none.
        validation_share: f64 = 0.0,
        /// Input size in pixels; `None` takes the backbone's.
        image_size: Option<usize> = None,
        /// Resampling filter; `None` takes the backbone's.
        interpolation: Option<Interpolation> = None,
        /// The smallest share of an image that a training crop shows.
        min_crop_area: f64 = 0.08,
        /// Threads that decode images; 0 for one a core.
        workers: usize = 0,
        /// Decoded images kept in memory, at most this many GiB.
        cache_gb: f64 = 1.0,
    }
}

impl DataConfig {
    /// Whether `path`, however it is written, is where these images are.
    pub fn are_at(&self, path: &Path) -> bool {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        self.path == path || real(path).is_some_and(|path| real(&self.path) == Some(path))
    }

    fn check(&self) -> Result<(), TrainError> {
        let share = self.validation_share;
        if !(0.0..1.0).contains(&share) {
            let message = format!("data.validation_share is {share}, expected 0 to below 1");
            return Err(TrainError::config(message, "a tenth to a fifth is usual"));
        }
        Ok(())
    }
}

impl TrainConfig {
    /// Fits defaults to the backbone and checks that the settings agree with it and with each other.
    ///
    /// Pooling becomes what the backbone was trained with; the embedding size becomes the backbone's width, at most 512;
    /// prompts deeper than the backbone end with it.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the setting.
    pub fn resolve(mut self, backbone: &VitConfig, pooling: Pooling) -> Result<Self, TrainError> {
        let fail = |message: &str, hint: &str| Err(TrainError::config(message, hint));
        self.check_bounds()?;
        backbone.check_pooling(*self.tuning.pooling.get_or_insert(pooling))?;
        self.tuning.embedding.get_or_insert(backbone.width.min(512));
        for schedule in self.tuning.prompts.iter_mut().chain([&mut self.proxies.class_prompts]) {
            schedule.depth = schedule.depth.min(backbone.depth);
        }
        self.fit_methods(backbone)?;
        self.optimizer.cosine_length.get_or_insert(self.epochs.max(1));
        self.eval_every.get_or_insert(self.epochs.div_ceil(10).max(1));
        if self.tuning.embedding == Some(0) {
            return fail("tuning.embedding is 0", "the authors use 384 for ViT-S and 512 for ViT-B");
        }
        if self.epochs == 0 {
            return fail(
                "epochs is 0, expected at least 1",
                "use `kinsight eval --backbone` for the untrained backbone",
            );
        }
        self.optimizer.check()?;
        self.proxies.check()?;
        self.loss.check()?;
        self.data.check()?;
        self.selection.check(self.data.validation_share > 0.0)?;
        if self.optimizer.accumulate > 1 && self.proxies.memory_bank {
            return fail(
                "optimizer.accumulate and proxies.memory_bank cannot be combined",
                "the bank updates its rows after every batch; choose one of the two",
            );
        }
        if self.da_vpt.weight != 0.0 && (self.tuning.prompts.is_none() || self.tuning.shallow_prompts) {
            return fail("da_vpt needs prompts inside the blocks", "use method da-vpt, or add it to vpt");
        }
        Ok(self)
    }

    /// The same settings with paths that mean the same from every folder, as a run keeps them.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the working folder is unknown.
    pub fn with_absolute_paths(mut self) -> Result<Self, TrainError> {
        self.backbone = absolute_if_path(&self.backbone)?;
        if !self.data.path.as_os_str().is_empty() {
            let path = self.data.path.to_string_lossy();
            self.data.path = absolute_if_path(&path)?.into();
        }
        Ok(self)
    }

    /// Refuses numbers that are not finite, and those that no memory would hold.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the setting.
    pub fn check_bounds(&self) -> Result<(), TrainError> {
        bounds::check(self)
    }

    /// Fits what a method attaches to the backbone, and checks it.
    fn fit_methods(&mut self, backbone: &VitConfig) -> Result<(), TrainError> {
        let fail = |message: String, hint: &str| Err(TrainError::config(message, hint));
        if let Some(adapter) = &mut self.tuning.adapter {
            adapter.blocks = adapter.blocks.min(backbone.depth);
            if adapter.bottleneck == 0 {
                return fail("tuning.adapter.bottleneck is 0".into(), "the paper uses 256");
            }
        }
        if let Some(lora) = &self.tuning.lora {
            let largest = backbone.width;
            if lora.rank == 0 || lora.rank > largest {
                let message = format!("tuning.lora.rank is {}, expected 1 to the width {largest}", lora.rank);
                return fail(message, "4 to 16 is usual");
            }
            if lora.targets.is_empty() {
                return fail("tuning.lora.targets is empty".into(), "choose among qkv, proj and mlp");
            }
            if !(0.0..1.0).contains(&lora.dropout) {
                return fail("tuning.lora.dropout is outside 0 to below 1".into(), "0 is none");
            }
            if lora.dora && lora.dropout > 0.0 {
                return fail(
                    "tuning.lora.dropout cannot be combined with dora".into(),
                    "set it to 0, or use method lora",
                );
            }
        }
        self.tuning.last_blocks = self.tuning.last_blocks.min(backbone.depth);
        let last = self.tuning.last_blocks;
        self.tuning.first_trained_block = (last > 0).then(|| backbone.depth - last);
        if self.tuning.prompts.is_some_and(|prompts| prompts.count == 0 || prompts.depth == 0) {
            return fail("tuning.prompts has no prompt".into(), "raise count and depth, or leave tuning.prompts out");
        }
        if self.tuning.shallow_prompts {
            let Some(prompts) = &mut self.tuning.prompts else {
                let hint = "set tuning.prompts.count and depth, or use method vpt-shallow";
                return fail("tuning.shallow_prompts without tuning.prompts".into(), hint);
            };
            (prompts.depth, prompts.step) = (1, 0);
            if backbone.rotary_theta.is_some() {
                let message = "shallow prompts have no position in a backbone with rotary positions".to_string();
                return fail(message, "use method vpt, whose prompts belong to each block");
            }
        }
        Ok(())
    }

    /// The settings as TOML.
    ///
    /// # Errors
    /// [`TrainError::Config`] if a value cannot be written.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string_pretty(self).map_err(|error| TrainError::config(error.to_string(), ""))
    }

    /// Every setting as `(dotted key, value)`, for reports and comparisons.
    pub fn flattened(&self) -> Vec<(String, String)> {
        let text = |value: toml::Value| match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        let leaves = layers::leaves(self).unwrap_or_default();
        leaves.into_iter().map(|(key, value)| (key, text(value))).collect()
    }
}
