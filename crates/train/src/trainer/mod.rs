//! The trainer: sets up a run from settings, and runs it.

mod event;
mod run;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use kinsight_data::{Dataset, Loader, LoaderOptions, Preprocess, Split};
use kinsight_model::embedder::EmbedOptions;
use kinsight_model::finetuned::FineTuningInfo;
use kinsight_model::parameters::inventory;
use kinsight_model::{Backbone, Encoder};
use kinsight_retrieval::{BootstrapConfig, EvalConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bank::PromptBank;
use crate::config::{DataConfig, TrainConfig};
use crate::error::TrainError;
use crate::evaluation::{Measured, measure};
use crate::init::{FreshLearner, bank_values, initial_container};
use crate::learner::Learner;
use crate::optim::OptimizerState;
use crate::proxies::ProxySource;
use crate::run::{Progress, RunFolder, RunLog, TrainingState};
use crate::sampler::ClassSampler;

pub use event::{Event, Outcome, RunFacts};
use run::Run;

/// A run that is set up: model, data, settings.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    backbone: Backbone,
    preprocess: Preprocess,
    train: Arc<Dataset>,
    test: Arc<Dataset>,
    device: Device,
}

impl Trainer {
    /// Opens backbone and data, and resolves `config` against them.
    ///
    /// # Errors
    /// [`TrainError`] for whatever does not fit, before any work is done.
    pub fn new(config: TrainConfig, device: &Device) -> Result<Self, TrainError> {
        let split = Split::load(&config.data.path, config.data.split, config.data.allow_overlap)?;
        Self::with_split(config, split, device)
    }

    /// As [`Self::new`] with a split that is already loaded.
    ///
    /// # Errors
    /// [`TrainError`] for whatever does not fit.
    pub fn with_split(config: TrainConfig, split: Split, device: &Device) -> Result<Self, TrainError> {
        let backbone = Backbone::open(&config.backbone, config.data.image_size)?;
        let config = config.resolve(&backbone.config, backbone.pooling)?;
        let mut preprocess = backbone.preprocess;
        if let Some(interpolation) = config.data.interpolation {
            preprocess.interpolation = interpolation;
        }
        preprocess.validate()?;
        Ok(Self {
            config,
            backbone,
            preprocess,
            train: Arc::new(split.train),
            test: Arc::new(split.test),
            device: device.clone(),
        })
    }

    /// The resolved settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The images measured on.
    pub fn test_set(&self) -> &Arc<Dataset> {
        &self.test
    }

    /// The images trained on.
    pub fn train_set(&self) -> &Arc<Dataset> {
        &self.train
    }

    /// How images are prepared.
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// Trains into the folder `out`; with `resume` a run that is there goes on where its last checkpoint was.
    ///
    /// `stop` is looked at after every step: when it becomes true a checkpoint is written and the run returns.
    ///
    /// # Errors
    /// [`TrainError`]; checkpoints written before stay valid.
    pub fn run(
        &self,
        out: &Path,
        resume: bool,
        stop: &AtomicBool,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome, TrainError> {
        let sampler = ClassSampler::new(self.train.items_by_class(), self.config.sampling, self.config.seed)?;
        let folder = RunFolder::prepare(out, &self.config, resume)?;
        let loader = Loader::new(self.train.clone(), self.preprocess, self.loader_options(LoaderOptions::train()))?;
        let fresh = Progress {
            step: 0,
            epoch: 0,
            batch: 0,
            seconds: 0.0,
            backbone_fingerprint: self.backbone.fingerprint.clone(),
            data_fingerprint: self.train.fingerprint(),
        };
        let state = self.initial_state()?;
        let (state, progress) = match resume && folder.latest_checkpoint().is_file() {
            true => state.restore(&folder.latest_checkpoint(), &fresh, &self.device)?,
            false => (state, fresh),
        };
        let facts = self.facts(&state, &sampler, progress.step);
        let log = RunLog::open_at(&folder.log(), progress.step, progress.epoch)?;
        let mut run = Run { trainer: self, folder, log, loader, sampler, state, progress, observer, measured: None };
        (run.observer)(Event::Started(&facts));
        run.warn_about_data()?;
        let finished = run.train(stop, facts.total_steps)?;
        run.finish(facts, finished)
    }

    /// The bare backbone on the test classes: what training has to beat.
    ///
    /// # Errors
    /// [`TrainError`] if the weights do not fit or nothing can be measured.
    pub fn measure_zero_shot(&self) -> Result<Measured, TrainError> {
        let mut encoder = Encoder::bare(&self.backbone, self.config.tuning.pooling, &self.device)?;
        encoder.backbone.compute = self.config.compute;
        self.measure(&encoder)
    }

    fn measure(&self, encoder: &Encoder) -> Result<Measured, TrainError> {
        let options = EmbedOptions { loader: self.loader_options(LoaderOptions::eval()), ..EmbedOptions::default() };
        let config = EvalConfig { bootstrap: Some(BootstrapConfig::default()), ..EvalConfig::default() };
        measure(encoder, &self.test, self.preprocess, options, &config, &self.device, |_| {})
    }

    fn initial_state(&self) -> Result<TrainingState, TrainError> {
        let TrainConfig { tuning, proxies, seed, .. } = &self.config;
        let classes = self.train.num_classes();
        let embedding = tuning.embedding.unwrap_or(self.backbone.config.width);
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        let mut weights = self.backbone.source(&self.device);
        let mut source = FreshLearner::new(&mut weights, tuning, &mut rng);
        let mut learner = Learner::from_source(&mut source, &self.backbone.config, tuning, proxies, classes);
        weights.finish()?;
        learner.encoder.backbone.compute = self.config.compute;
        let container = initial_container(&mut rng, classes, embedding, &self.device);
        let bank = (proxies.memory_bank && proxies.source == ProxySource::Semantic).then(|| {
            let width = self.backbone.config.width;
            PromptBank::new(classes, width, proxies.class_prompts, |_| {
                bank_values(&mut rng, classes, proxies.class_prompts, width)
            })
        });
        let learner = learner.with_trainable(tuning);
        Ok(TrainingState { learner, container, optimizer: OptimizerState::default(), bank })
    }

    fn facts(&self, state: &TrainingState, sampler: &ClassSampler, resumed_at: u64) -> RunFacts {
        let parameters = inventory(&state.learner);
        let count = |keep: &dyn Fn(&str, bool) -> bool| {
            parameters.iter().filter(|p| keep(&p.name, p.trains)).map(|p| p.count()).sum::<usize>()
        };
        let schedule = self.config.proxies.class_prompts;
        let width = self.backbone.config.width;
        let banked =
            state.bank.as_ref().map_or(0, |_| self.train.num_classes() * schedule.count * schedule.depth * width);
        RunFacts {
            train: (self.train.len(), self.train.num_classes()),
            test: (self.test.len(), self.test.num_classes()),
            parameters: count(&|_, _| true) + banked,
            trainable: count(&|_, trains| trains) + banked,
            kept: count(&|name, trains| trains && name.starts_with("encoder.")),
            total_steps: (self.config.epochs * sampler.batches()) as u64,
            resumed_at,
        }
    }

    fn loader_options(&self, base: LoaderOptions) -> LoaderOptions {
        let cache_bytes = (self.config.data.cache_gb.max(0.0) * (1u64 << 30) as f64) as u64;
        let DataConfig { workers, min_crop_area, .. } = self.config.data;
        LoaderOptions { workers, cache_bytes, min_crop_area, ..base }
    }

    fn fine_tuning_info(&self) -> FineTuningInfo {
        FineTuningInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            backbone: self.config.backbone.clone(),
            backbone_fingerprint: self.backbone.fingerprint.clone(),
            tuning: self.config.tuning.clone(),
            preprocess: self.preprocess,
        }
    }
}
