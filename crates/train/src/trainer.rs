//! The training loop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::{Augment, Batch, Dataset, Loader, LoaderOptions, Plan, Preprocess, Split};
use kinsight_model::embedder::EmbedOptions;
use kinsight_model::finetuned::{FineTuningInfo, save_fine_tuning};
use kinsight_model::parameters::inventory;
use kinsight_model::{Backbone, Encoder};
use kinsight_retrieval::EvalConfig;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bank::PromptBank;
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::evaluation::{Measured, measure};
use crate::health::Health;
use crate::init::{FreshLearner, bank_values, initial_container};
use crate::learner::{Learner, TrainBatch};
use crate::optim::OptimizerState;
use crate::proxies::ProxySource;
use crate::run::{LogRecord, ModelCard, Progress, RunFolder, RunLog, TrainingState};
use crate::sampler::ClassSampler;

/// What a run tells whoever watches it.
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
        /// Metrics.
        measured: &'a Measured,
    },
    /// Something the user should know.
    Warning(&'a str),
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
    /// The final evaluation; none if the run was stopped before its end.
    pub measured: Option<Measured>,
    /// The trained encoder.
    pub encoder: Encoder,
    /// Seconds of training, evaluations left out.
    pub seconds: f64,
}

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
        let config = config.resolve(&backbone.config)?;
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
        measure(encoder, &self.test, self.preprocess, options, &EvalConfig::default(), &self.device, |_| {})
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
        LoaderOptions { workers: self.config.data.workers, cache_bytes, ..base }
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

/// A run in progress.
struct Run<'a> {
    trainer: &'a Trainer,
    folder: RunFolder,
    log: RunLog,
    loader: Loader,
    sampler: ClassSampler,
    state: TrainingState,
    progress: Progress,
    observer: &'a mut dyn FnMut(Event<'_>),
    measured: Option<Measured>,
}

impl Run<'_> {
    /// Trains until the end or until `stop`; true if the end was reached.
    fn train(&mut self, stop: &AtomicBool, total: u64) -> Result<bool, TrainError> {
        let config = &self.trainer.config;
        let mut health = Health::default();
        while self.progress.epoch < config.epochs {
            let augment = Augment::Train { seed: config.seed, epoch: self.progress.epoch as u64 };
            let plan = Plan::new(self.sampler.epoch(self.progress.epoch), augment).starting_at(self.progress.batch);
            let mut started = Instant::now();
            for batch in self.loader.batches(plan)? {
                let batch = batch?;
                let images = batch.len();
                let (loss, warning) = self.step(batch, &mut health)?;
                let seconds = started.elapsed().as_secs_f64();
                started = Instant::now();
                self.progress.step += 1;
                self.progress.batch += 1;
                self.progress.seconds += seconds;
                self.report_step(loss, total, images as f64 / seconds)?;
                if let Some(message) = warning {
                    self.warn(&message)?;
                }
                let every = config.checkpoint_every_steps as u64;
                if stop.load(Ordering::Relaxed) {
                    self.save_checkpoint()?;
                    (self.observer)(Event::Stopped);
                    return Ok(false);
                }
                if every > 0 && self.progress.step.is_multiple_of(every) {
                    self.save_checkpoint()?;
                }
            }
            self.progress.epoch += 1;
            self.progress.batch = 0;
            // In this order a run killed in between evaluates again, rather than never.
            self.evaluate_if_due()?;
            self.save_checkpoint()?;
        }
        Ok(true)
    }

    /// One optimiser step; the loss, and what is worth warning about.
    fn step(&mut self, batch: Batch, health: &mut Health) -> Result<(f64, Option<String>), TrainError> {
        let config = &self.trainer.config;
        let device = &self.trainer.device;
        let shape = batch.shape();
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, shape), device);
        let labels = batch.labels.iter().map(|label| *label as usize).collect();
        let mut input = TrainBatch { images, labels, banked_prompts: None };
        let classes = input.classes();
        let lent = self.state.bank.as_ref().map(|bank| bank.lend(&classes, device));
        input.banked_prompts = lent.clone();

        let mut dropout = ChaCha8Rng::seed_from_u64(config.seed);
        dropout.set_stream(u64::MAX - self.progress.step);
        let state = &mut self.state;
        let output = state.learner.forward(input, &state.container, &config.proxies, &config.loss, &mut dropout);
        let mut gradients = output.loss.backward();
        let loss = output.loss.into_scalar::<f64>();
        let warning = health.check(self.progress.step, loss, output.embeddings)?;

        let rates = config.optimizer.rates(self.progress.step, self.progress.epoch, config.epochs);
        state.learner = state.optimizer.step(state.learner.clone(), &mut gradients, &config.optimizer, rates);
        if let (Some(bank), Some(lent)) = (&mut state.bank, &lent) {
            bank.take_back(&classes, lent, &mut gradients, &config.optimizer, rates.base);
        }
        if let Some(container) = output.container {
            state.container = container;
        }
        Ok((loss, warning))
    }

    fn report_step(&mut self, loss: f64, total: u64, images_per_second: f64) -> Result<(), TrainError> {
        let Progress { step, epoch, .. } = self.progress;
        let lr = self.trainer.config.optimizer.rates(step - 1, epoch, self.trainer.config.epochs).base;
        let timed = (!self.trainer.config.deterministic).then_some(images_per_second);
        self.log.append(&LogRecord::Step { step, epoch, loss, lr, images_per_second: timed })?;
        (self.observer)(Event::Step { step, total, epoch, loss, images_per_second });
        Ok(())
    }

    fn warn(&mut self, message: &str) -> Result<(), TrainError> {
        self.log.append(&LogRecord::Warning { step: self.progress.step, message: message.to_string() })?;
        (self.observer)(Event::Warning(message));
        Ok(())
    }

    fn warn_about_data(&mut self) -> Result<(), TrainError> {
        if self.trainer.backbone.preprocess_is_a_guess {
            self.warn(
                "the backbone does not say how its images were normalised; ImageNet's mean and deviation are used",
            )?;
        }
        let k = self.trainer.config.sampling.images_per_class;
        let short = self.trainer.train.items_by_class().iter().filter(|images| images.len() < k).count();
        if short > 0 {
            let verb = if short == 1 { "class has" } else { "classes have" };
            self.warn(&format!("{short} training {verb} fewer than {k} images; theirs repeat within a batch"))?;
        }
        Ok(())
    }

    fn evaluate_if_due(&mut self) -> Result<(), TrainError> {
        let config = &self.trainer.config;
        let (done, every) = (self.progress.epoch, config.eval_every.unwrap_or(0));
        let due = done == config.epochs || (every > 0 && done.is_multiple_of(every));
        if !due {
            return Ok(());
        }
        let measured = self.trainer.measure(&self.state.learner.encoder)?;
        self.log.append(&LogRecord::Evaluation {
            step: self.progress.step,
            epochs: done,
            recall_at_1: measured.evaluation.recall_at(1).unwrap_or_default(),
            map_at_r: measured.evaluation.map_at_r(),
        })?;
        (self.observer)(Event::Evaluated { epochs: done, measured: &measured });
        self.measured = Some(measured);
        Ok(())
    }

    fn save_checkpoint(&self) -> Result<(), TrainError> {
        let mut progress = self.progress.clone();
        if self.trainer.config.deterministic {
            progress.seconds = 0.0;
        }
        self.state.save(&self.folder.latest_checkpoint(), &progress)
    }

    /// Writes what a finished run leaves behind.
    fn finish(mut self, facts: RunFacts, finished: bool) -> Result<Outcome, TrainError> {
        for (path, reason) in self.loader.unreadable().files {
            self.warn(&format!("skipped {}: {reason}", path.display()))?;
        }
        let encoder = burn::module::Module::valid(&self.state.learner.encoder);
        if finished {
            let measured = match self.measured.take() {
                Some(measured) => measured,
                None => self.trainer.measure(&encoder)?, // resumed after the last epoch
            };
            let info = self.trainer.fine_tuning_info();
            save_fine_tuning(&self.folder.model(), &encoder, &info)?;
            let json = serde_json::to_string_pretty(&measured.evaluation).unwrap_or_default();
            self.folder.write(&self.folder.metrics(), json.as_bytes())?;
            let card = ModelCard {
                config: &self.trainer.config,
                info: &info,
                evaluation: &measured.evaluation,
                trainable: facts.kept,
                sizes: [facts.train, facts.test],
            };
            self.folder.write(&self.folder.card(), card.to_markdown().as_bytes())?;
            self.measured = Some(measured);
        }
        Ok(Outcome { facts, measured: self.measured, encoder, seconds: self.progress.seconds })
    }
}
