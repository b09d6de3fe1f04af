//! A run in progress: the loop over epochs and steps, and what is written on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kinsight_data::{Augment, Batch, Loader, Plan};
use kinsight_model::finetuned::save_fine_tuning;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Event, Outcome, RunFacts, Trainer};
use crate::error::TrainError;
use crate::evaluation::Measured;
use crate::health::Health;
use crate::learner::TrainBatch;
use crate::memory::peak_memory_bytes;
use crate::run::{LogRecord, ModelCard, Progress, RunCost, RunFolder, RunLog, TrainingState};
use crate::sampler::Sampler;

/// Everything a run holds while it trains.
pub(super) struct Run<'a> {
    pub trainer: &'a Trainer,
    pub folder: RunFolder,
    pub log: RunLog,
    pub loader: Loader,
    pub sampler: Sampler,
    pub state: TrainingState,
    pub progress: Progress,
    pub observer: &'a mut dyn FnMut(Event<'_>),
    pub measured: Option<Measured>,
}

impl Run<'_> {
    /// Trains until the end or until `stop`; true if the end was reached.
    pub fn train(&mut self, stop: &AtomicBool, total: u64) -> Result<bool, TrainError> {
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
    pub fn step(&mut self, batch: Batch, health: &mut Health) -> Result<(f64, Option<String>), TrainError> {
        let config = &self.trainer.config;
        let device = &self.trainer.device;
        let shape = batch.shape();
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, shape), device);
        let labels = batch.labels.iter().map(|label| *label as usize).collect();
        let mut input = TrainBatch { images, labels, banked_prompts: None };
        let classes = input.classes();
        let lent = self.state.bank.as_ref().map(|bank| bank.lend(&classes, device));
        input.banked_prompts = lent.clone();

        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        random.set_stream(u64::MAX - self.progress.step);
        if config.tuning.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0) {
            // Dropout inside the blocks draws from the device; every step starts it anew, so that resuming draws the same.
            device.seed(config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.progress.step);
        }
        let state = &mut self.state;
        let output = state.learner.forward(input, &state.container, &config.proxies, &config.loss, &mut random);
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

    pub fn warn_about_data(&mut self) -> Result<(), TrainError> {
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

    pub fn save_checkpoint(&mut self) -> Result<(), TrainError> {
        let mut progress = self.progress.clone();
        if self.trainer.config.deterministic {
            progress.seconds = 0.0;
        }
        self.state.save(&self.folder.latest_checkpoint(), &progress)
    }

    fn cost(&self, facts: &RunFacts) -> RunCost {
        let config = &self.trainer.config;
        let images = (self.progress.step * config.sampling.batch_size as u64) as f64;
        let seconds = (!config.deterministic).then_some(self.progress.seconds);
        RunCost {
            parameters: facts.parameters,
            trainable: facts.trainable,
            kept: facts.kept,
            seconds,
            images_per_second: seconds.filter(|seconds| *seconds > 0.0).map(|seconds| images / seconds),
            peak_memory_bytes: peak_memory_bytes().filter(|_| !config.deterministic),
        }
    }

    /// Writes what a finished run leaves behind.
    pub fn finish(mut self, facts: RunFacts, finished: bool) -> Result<Outcome, TrainError> {
        for (path, reason) in self.loader.unreadable().files {
            self.warn(&format!("skipped {}: {reason}", path.display()))?;
        }
        let encoder = self.state.learner.encoder.valid();
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
            let queries = measured.query_scores()?;
            self.folder.write(&self.folder.queries(), &serde_json::to_vec(&queries).unwrap_or_default())?;
            let cost = self.cost(&facts);
            self.folder.write(&self.folder.cost(), &serde_json::to_vec_pretty(&cost).unwrap_or_default())?;
            self.measured = Some(measured);
        }
        Ok(Outcome { facts, measured: self.measured, encoder, seconds: self.progress.seconds })
    }
}
