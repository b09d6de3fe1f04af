//! The trainer: sets up a run from settings, and runs it.

mod event;
mod rehearse;
mod run;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use kinsight_data::{DISTRACTORS, Dataset, Loader, LoaderOptions, Preprocess, Protocol, Split, SplitRule, Unreadable};
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_model::finetuned::FineTuningInfo;
use kinsight_model::parameters::{ParameterInfo, inventory};
use kinsight_model::{Backbone, Encoder, TestFacts, TrainingFacts};
use kinsight_retrieval::{BootstrapConfig, EvalConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bank::{BankStorage, PromptBank};
use crate::config::{DataConfig, TrainConfig};
use crate::da_vpt::{ClassSums, DaVpt};
use crate::error::TrainError;
use crate::evaluation::{Measured, measure};
use crate::init::{FreshLearner, bank_values, initial_proxy_memory};
use crate::learner::Learner;
use crate::optim::{MovingAverage, OptimizerState};
use crate::proxies::ProxySource;
use crate::run::{EventFile, Progress, RunFolder, RunLog, SelectionState, TrainingState};
use crate::sampler::Sampler;

pub use event::{Event, Outcome, RunFacts};
pub use rehearse::Rehearsal;
use run::Run;

/// A run that is set up: model, data, settings.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    backbone: Backbone,
    preprocess: Preprocess,
    train: Arc<Dataset>,
    test: Arc<Dataset>,
    protocol: Protocol,
    validation: Option<Arc<Dataset>>,
    /// Test classes that are also trained or selected on.
    seen_classes: usize,
    device: Device,
}

impl Trainer {
    /// Opens backbone and data, and resolves `config` against them.
    ///
    /// # Errors
    /// [`TrainError`] if settings, backbone and data do not fit together, before any work is done.
    pub fn new(config: TrainConfig, device: &Device) -> Result<Self, TrainError> {
        let split = Split::load(&config.data.path, config.data.split, config.data.allow_overlap)?;
        Self::with_split(config, split, device)
    }

    /// As [`Self::new`] with a split that is already loaded.
    ///
    /// # Errors
    /// [`TrainError`] if settings, backbone and data do not fit together.
    pub fn with_split(config: TrainConfig, mut split: Split, device: &Device) -> Result<Self, TrainError> {
        config.check_bounds()?;
        let backbone = Backbone::open(&config.backbone, config.data.image_size)?;
        let config = config.resolve(&backbone.config, backbone.pooling)?.with_absolute_paths()?;
        let mut preprocess = backbone.preprocess;
        if let Some(interpolation) = config.data.interpolation {
            preprocess.interpolation = interpolation;
        }
        preprocess.validate()?;
        let seen_classes = split.shared_classes().len();
        let share = config.data.validation_share;
        let validation = (share > 0.0).then(|| split.carve_validation(share, config.seed)).transpose()?;
        Ok(Self {
            config,
            backbone,
            preprocess,
            train: Arc::new(split.train),
            test: Arc::new(split.test),
            protocol: split.protocol,
            validation: validation.map(Arc::new),
            seen_classes,
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
        let sampler = Sampler::new(self.train.items_by_class(), self.config.sampling, self.config.seed)?;
        let folder = RunFolder::prepare(out, &self.config, resume)?;
        let loader = Loader::new(self.train.clone(), self.preprocess, self.loader_options(LoaderOptions::train()))?;
        let fresh = self.fresh_progress();
        let resuming = resume && folder.latest_checkpoint().is_file();
        let state = self.initial_state(&folder, resuming)?;
        let (state, progress) = match resuming {
            true => state.restore(&folder.latest_checkpoint(), &fresh, &self.device)?,
            false => (state, fresh),
        };
        let facts = self.facts(&state, &sampler, progress.step);
        let log = RunLog::open_at(&folder.log(), progress.step, progress.epoch)?;
        let events = match self.config.tensorboard {
            true => Some(EventFile::open(&folder.events(), &folder.log(), self.config.deterministic)?),
            false => None,
        };
        let measured = None;
        let mut run = Run { trainer: self, folder, log, events, loader, sampler, state, progress, observer, measured };
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

    /// Nothing done yet.
    fn fresh_progress(&self) -> Progress {
        Progress {
            step: 0,
            epoch: 0,
            batch: 0,
            seconds: 0.0,
            backbone_fingerprint: self.backbone.fingerprint.clone(),
            data_fingerprint: self.train.fingerprint(),
            selection: SelectionState::default(),
        }
    }

    fn measure(&self, encoder: &Encoder) -> Result<Measured, TrainError> {
        self.measure_on(encoder, &self.test, &self.protocol)
    }

    /// On the validation classes, where there are any.
    fn validate(&self, encoder: &Encoder) -> Result<Option<Measured>, TrainError> {
        let measure = |set: &Arc<Dataset>| self.measure_on(encoder, set, &Protocol::default());
        self.validation.as_ref().map(measure).transpose()
    }

    fn measure_on(
        &self,
        encoder: &Encoder,
        dataset: &Arc<Dataset>,
        protocol: &Protocol,
    ) -> Result<Measured, TrainError> {
        let options = EmbedOptions { loader: self.loader_options(LoaderOptions::eval()), ..EmbedOptions::default() };
        let config = EvalConfig { bootstrap: Some(BootstrapConfig::default()), ..EvalConfig::default() };
        measure(encoder, dataset, protocol, self.preprocess, options, &config, &self.device, |_| {})
    }

    fn initial_state(&self, folder: &RunFolder, resuming: bool) -> Result<TrainingState, TrainError> {
        let TrainConfig { tuning, proxies, loss, seed, .. } = &self.config;
        let classes = self.train.num_classes();
        let embedding = tuning.embedding.unwrap_or(self.backbone.config.width);
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        let mut weights = self.backbone.source(&self.device);
        let mut source = FreshLearner::new(&mut weights, tuning, &mut rng);
        let mut learner = Learner::from_source(&mut source, &self.backbone.config, tuning, proxies, loss, classes);
        weights.finish()?;
        learner.encoder.backbone.compute = self.config.compute;
        let proxy_memory = initial_proxy_memory(&mut rng, classes, embedding, &self.device);
        let has_bank = proxies.memory_bank && proxies.source == ProxySource::Semantic;
        let (width, schedule, moments) =
            (self.backbone.config.width, proxies.class_prompts, self.config.optimizer.moments());
        let values = |_| bank_values(&mut rng, classes, schedule, width);
        let bank = match proxies.bank_storage {
            _ if !has_bank => None,
            BankStorage::Ram => Some(PromptBank::new(classes, width, schedule, values)?),
            BankStorage::Disk if resuming => Some(PromptBank::open(&folder.bank(), classes, width, schedule, moments)?),
            BankStorage::Disk => Some(PromptBank::create(&folder.bank(), classes, width, schedule, moments, values)?),
        };
        let mut learner = learner.with_trainable(tuning);
        learner.da_vpt = self.da_vpt(resuming)?;
        let class_sums = learner.da_vpt.as_ref().map(|_| ClassSums::new(classes, embedding));
        let decay = self.config.optimizer.ema_decay;
        let average = (decay > 0.0).then(|| MovingAverage::new(decay, &learner.encoder));
        Ok(TrainingState { learner, proxy_memory, optimizer: OptimizerState::default(), bank, average, class_sums })
    }

    /// The prompt of each class, from the embeddings of the untrained backbone; when resuming, the checkpoint knows it.
    fn da_vpt(&self, resuming: bool) -> Result<Option<DaVpt>, TrainError> {
        let config = &self.config.da_vpt;
        let Some(prompts) = self.config.tuning.prompts.filter(|_| config.weight != 0.0) else { return Ok(None) };
        let classes = self.train.num_classes();
        let mut da_vpt = DaVpt::new(config, classes, prompts.count);
        if !resuming {
            let mut encoder = Encoder::bare(&self.backbone, self.config.tuning.pooling, &self.device)?;
            encoder.backbone.compute = self.config.compute;
            let options =
                EmbedOptions { loader: self.loader_options(LoaderOptions::eval()), ..EmbedOptions::default() };
            let found = embed_dataset(&encoder, &self.train, self.preprocess, options, &self.device, |_| {})?;
            let mut sums = ClassSums::new(classes, found.values.len() / found.labels.len().max(1));
            sums.add(&found.values, found.labels.iter().map(|label| *label as usize));
            da_vpt.reassign(&sums)?;
        }
        Ok(Some(da_vpt))
    }

    fn facts(&self, state: &TrainingState, sampler: &Sampler, resumed_at: u64) -> RunFacts {
        let parameters = inventory(&state.learner);
        let count = |parameters: &[ParameterInfo], trained: bool| {
            parameters.iter().filter(|p| p.trains || !trained).map(|p| p.count()).sum::<usize>()
        };
        let schedule = self.config.proxies.class_prompts;
        let width = self.backbone.config.width;
        let banked =
            state.bank.as_ref().map_or(0, |_| self.train.num_classes() * schedule.count * schedule.depth * width);
        RunFacts {
            train: (self.train.len(), self.train.num_classes()),
            test: (self.test.len(), self.test.num_classes()),
            parameters: count(&parameters, false) + banked,
            trainable: count(&parameters, true) + banked,
            kept: count(&inventory(&state.learner.encoder), true),
            bank: state.bank.as_ref().map(|_| {
                let moments = self.config.optimizer.moments();
                PromptBank::cost(self.train.num_classes(), width, schedule, moments, self.config.proxies.bank_storage)
            }),
            total_steps: (self.config.epochs * sampler.batches().div_ceil(self.config.optimizer.accumulate)) as u64,
            resumed_at,
        }
    }

    fn loader_options(&self, base: LoaderOptions) -> LoaderOptions {
        // An evaluation reads every image once and then lets go of its loader: a cache would only take memory.
        let kept_gb = if base.unreadable == Unreadable::Skip { 0.0 } else { self.config.data.cache_gb.max(0.0) };
        let cache_bytes = (kept_gb * (1u64 << 30) as f64) as u64;
        let DataConfig { workers, min_crop_area, .. } = self.config.data;
        LoaderOptions { workers, cache_bytes, min_crop_area, ..base }
    }

    /// What the fine-tuning says of itself after `epochs` and `steps`, its state being that after `kept_step`.
    fn fine_tuning_info(&self, epochs: usize, steps: u64, kept_step: u64) -> FineTuningInfo {
        FineTuningInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            backbone: self.config.backbone.clone(),
            backbone_fingerprint: self.backbone.fingerprint.clone(),
            tuning: self.config.tuning.clone(),
            preprocess: self.preprocess,
            training: Some(self.training_facts(epochs, steps, kept_step)),
        }
    }

    /// What happened in the run.
    fn training_facts(&self, epochs: usize, steps: u64, kept_step: u64) -> TrainingFacts {
        let TrainConfig { method, data, loss, compute, epochs: epochs_asked, .. } = &self.config;
        let count = |has: &dyn Fn(usize) -> bool| (0..self.test.len()).filter(|image| has(*image)).count();
        let distractor = self.test.class_names.iter().position(|name| name == DISTRACTORS);
        let is_distractor = |image: usize| Some(self.test.items[image].label as usize) == distractor;
        TrainingFacts {
            method: method.clone(),
            precision: compute.precision,
            data: data.path.clone(),
            split: data.split.unwrap_or_else(|| SplitRule::detect(&data.path)),
            class_names: self.train.class_names.clone(),
            centers_per_class: loss.centers_per_class(),
            train_images: self.train.len(),
            validation_classes: self.validation.as_ref().map_or(0, |set| set.num_classes()),
            test: TestFacts {
                images: self.test.len(),
                classes: self.test.num_classes() - usize::from(distractor.is_some()),
                seen_classes: self.seen_classes,
                queries: count(&|image| self.protocol.is_query(image)),
                gallery: count(&|image| self.protocol.is_in_gallery(image)),
                distractors: count(&is_distractor),
                groups: self.protocol.group_names.len(),
            },
            epochs,
            epochs_asked: *epochs_asked,
            steps,
            kept_step,
        }
    }
}
