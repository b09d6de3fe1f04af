//! A run in progress: the loop over epochs and steps, and what is written on the way.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor, TensorData};
use kinsight_data::{Augment, Batch, Loader, Plan};
use kinsight_model::finetuned::{load_fine_tuned, save_fine_tuning};
use kinsight_model::parameters::to_vec;
use kinsight_model::prompts::PromptTables;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Event, Outcome, RunFacts, Trainer};
use crate::config::Keep;
use crate::error::TrainError;
use crate::evaluation::Measured;
use crate::health::Health;
use crate::learner::TrainBatch;
use crate::optim::GradientSum;
use crate::run::{
    EventFile, Figures, LogRecord, ModelCard, Progress, RunCost, RunFolder, RunLog, TrainingState, peak_memory_bytes,
};
use crate::sampler::Sampler;

/// Everything a run holds while it trains.
pub(super) struct Run<'a> {
    pub trainer: &'a Trainer,
    pub folder: RunFolder,
    pub log: RunLog,
    pub events: Option<EventFile>,
    pub loader: Loader,
    pub sampler: Sampler,
    pub state: TrainingState,
    pub progress: Progress,
    pub observer: &'a mut dyn FnMut(Event<'_>),
    pub measured: Option<Measured>,
}

/// What one batch's backward pass gives.
struct Backward {
    gradients: Gradients,
    classes: Vec<usize>,
    /// Class prompts that the memory bank lent.
    lent: Option<PromptTables>,
    proxy_memory: Option<Tensor<2>>,
}

impl Run<'_> {
    /// Trains until the end or until `stop`; true if the end was reached.
    pub fn train(&mut self, stop: &AtomicBool, total: u64) -> Result<bool, TrainError> {
        let config = &self.trainer.config;
        let mut health = Health::default();
        let accumulate = config.optimizer.accumulate;
        while self.progress.epoch < config.epochs && !self.is_over() {
            let augment = Augment::Train { seed: config.seed, epoch: self.progress.epoch as u64 };
            let plan = Plan::new(self.sampler.epoch(self.progress.epoch), augment).starting_at(self.progress.batch);
            let mut started = Instant::now();
            let mut batches = self.loader.batches(plan)?;
            while self.progress.batch < self.sampler.batches() && !self.is_over() {
                // The last update of an epoch averages what is left of it.
                let wanted = accumulate.min(self.sampler.batches() - self.progress.batch);
                let group = batches.by_ref().take(wanted).collect::<Result<Vec<Batch>, _>>()?;
                if group.is_empty() {
                    break;
                }
                let images: usize = group.iter().map(Batch::len).sum();
                let taken = group.len();
                let (loss, warning) = self.step(group, &mut health)?;
                let seconds = started.elapsed().as_secs_f64();
                self.progress.step += 1;
                self.progress.batch += taken;
                self.progress.seconds += seconds;
                self.report_step(loss, total, images as f64 / seconds)?;
                if let Some(message) = warning {
                    self.warn(&message)?;
                }
                // In this order a run killed in between evaluates again, rather than never.
                let due = config.eval_every_steps as u64;
                if due > 0 && self.progress.step.is_multiple_of(due) {
                    self.evaluate(self.progress.epoch)?;
                }
                let every = config.checkpoint_every_steps as u64;
                if stop.load(Ordering::Relaxed) {
                    self.save_checkpoint()?;
                    (self.observer)(Event::Stopped);
                    return Ok(false);
                }
                if every > 0 && self.progress.step.is_multiple_of(every) || self.is_over() {
                    self.save_checkpoint()?;
                }
                started = Instant::now();
            }
            if self.is_over() {
                break;
            }
            self.progress.epoch += 1;
            self.progress.batch = 0;
            self.regroup_classes()?;
            self.evaluate_if_due()?;
            self.save_checkpoint()?;
        }
        if self.is_over() {
            (self.observer)(Event::StoppedEarly);
        }
        Ok(true)
    }

    /// Groups the classes anew over the prompts, by the embeddings of the epoch that is done.
    fn regroup_classes(&mut self) -> Result<(), TrainError> {
        let TrainingState { learner, class_sums, .. } = &mut self.state;
        if let (Some(da_vpt), Some(sums)) = (&mut learner.da_vpt, class_sums) {
            da_vpt.reassign(sums)?;
            sums.clear();
        }
        Ok(())
    }

    /// Whether the run has stopped early.
    fn is_over(&self) -> bool {
        self.progress.selection.is_exhausted(self.trainer.config.selection.patience)
    }

    /// One optimizer step from one batch or several; the mean loss, and what is worth warning about.
    pub fn step(&mut self, group: Vec<Batch>, health: &mut Health) -> Result<(f64, Option<String>), TrainError> {
        let config = &self.trainer.config;
        let rates = config.optimizer.rates(self.progress.step, self.progress.epoch, config.epochs);
        let count = group.len();
        let (mut sum, mut losses, mut warnings) = (GradientSum::default(), 0.0, Vec::new());
        for (place, batch) in group.into_iter().enumerate() {
            let number = self.progress.epoch * self.sampler.batches() + self.progress.batch + place;
            let (loss, warning, mut backward) = self.forward_backward(batch, number as u64, health)?;
            losses += loss;
            warnings.extend(warning);
            let state = &mut self.state;
            if config.optimizer.accumulate > 1 {
                sum.add(&state.learner, &mut backward.gradients);
            } else {
                let gradients = &mut backward.gradients;
                state.learner = state.optimizer.step(state.learner.clone(), gradients, &config.optimizer, rates);
            }
            if let (Some(bank), Some(lent)) = (&mut state.bank, &backward.lent) {
                bank.take_back(&backward.classes, lent, &mut backward.gradients, &config.optimizer, rates.base);
            }
            if let Some(proxy_memory) = backward.proxy_memory {
                state.proxy_memory = proxy_memory;
            }
        }
        let state = &mut self.state;
        if sum.batches() > 0 {
            state.learner = state.optimizer.step_summed(state.learner.clone(), sum, &config.optimizer, rates);
        }
        if let Some(average) = &mut state.average {
            average.update(&state.learner.encoder, self.progress.step + 1);
        }
        Ok((losses / count as f64, warnings.into_iter().next()))
    }

    /// Loss and gradients of batch `number` of the whole run.
    fn forward_backward(
        &mut self,
        batch: Batch,
        number: u64,
        health: &mut Health,
    ) -> Result<(f64, Option<String>, Backward), TrainError> {
        let config = &self.trainer.config;
        let device = &self.trainer.device;
        let shape = batch.shape();
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, shape), device);
        let labels: Vec<usize> = batch.labels.iter().map(|label| *label as usize).collect();
        let mut input = TrainBatch { images, labels, banked_prompts: None };
        let classes = input.classes();
        let lent = self.state.bank.as_ref().map(|bank| bank.lend(&classes, device));
        input.banked_prompts = lent.clone();

        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        random.set_stream(u64::MAX - number);
        if config.tuning.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0) {
            // Dropout inside the blocks draws from the device; every batch starts it anew, so that resuming draws the same.
            device.seed(config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        }
        let state = &self.state;
        let output = state.learner.forward(input, &state.proxy_memory, &config.proxies, &config.loss, &mut random);
        let gradients = output.loss.backward();
        let loss = output.loss.into_scalar::<f64>();
        if let Some(sums) = &mut self.state.class_sums {
            sums.add(&to_vec(output.embeddings.clone()), batch.labels.iter().map(|label| *label as usize));
        }
        let warning = health.check(self.progress.step, loss, output.embeddings)?;
        Ok((loss, warning, Backward { gradients, classes, lent, proxy_memory: output.proxy_memory }))
    }

    fn report_step(&mut self, loss: f64, total: u64, images_per_second: f64) -> Result<(), TrainError> {
        let Progress { step, epoch, .. } = self.progress;
        let lr = self.trainer.config.optimizer.rates(step - 1, epoch, self.trainer.config.epochs).base;
        let timed = (!self.trainer.config.deterministic).then_some(images_per_second);
        self.record(&LogRecord::Step { step, epoch, loss, lr, images_per_second: timed })?;
        (self.observer)(Event::Step { step, total, epoch, loss, images_per_second });
        Ok(())
    }

    fn warn(&mut self, message: &str) -> Result<(), TrainError> {
        self.record(&LogRecord::Warning { step: self.progress.step, message: message.to_string() })?;
        (self.observer)(Event::Warning(message));
        Ok(())
    }

    pub fn warn_about_data(&mut self) -> Result<(), TrainError> {
        if self.trainer.backbone.preprocess_is_a_guess {
            self.warn(
                "the backbone's files do not state its normalization; using ImageNet's mean and standard deviation",
            )?;
        }
        let alone = self.trainer.test.classes_with_one_image().len();
        if alone > 0 && self.trainer.protocol.is_self_search() {
            let (verb, their) = if alone == 1 { ("class has", "its") } else { ("classes have", "their") };
            self.warn(&format!(
                "{alone} test {verb} one image, which finds no other of {their} class: no metric counts it as a query"
            ))?;
        }
        let k = self.trainer.config.sampling.images_per_class;
        let short = self.trainer.train.items_by_class().iter().filter(|images| images.len() < k).count();
        if short > 0 {
            let verb = if short == 1 { "class has" } else { "classes have" };
            self.warn(&format!(
                "{short} training {verb} fewer than {k} images, which therefore repeat within a batch"
            ))?;
        }
        Ok(())
    }

    fn evaluate_if_due(&mut self) -> Result<(), TrainError> {
        let config = &self.trainer.config;
        let (done, every) = (self.progress.epoch, config.eval_every.unwrap_or(0));
        let by_epoch = config.eval_every_steps == 0 && every > 0 && done.is_multiple_of(every);
        let measured_already = self.progress.selection.last.is_some_and(|point| point.step == self.progress.step);
        if by_epoch || done == config.epochs && !measured_already {
            return self.evaluate(done);
        }
        Ok(())
    }

    /// Measures on test and validation classes, and keeps the state if it is the best on the latter.
    fn evaluate(&mut self, epochs: usize) -> Result<(), TrainError> {
        let encoder = self.state.encoder();
        let measured = self.trainer.measure(&encoder)?;
        let validation = self.trainer.validate(&encoder)?;
        let step = self.progress.step;
        let metric = self.trainer.config.selection.metric;
        let judged = validation.as_ref().map(|measured| &measured.evaluation);
        if self.progress.selection.take(metric, (step, epochs), &measured.evaluation, judged) {
            // Written before the checkpoint that says so: a run killed in between writes the same bytes again.
            let info = self.trainer.fine_tuning_info(epochs, step, step);
            save_fine_tuning(&self.folder.best_model(), &encoder.valid(), &info)?;
            self.save_proxies(&self.folder.best_proxies())?;
        }
        let Figures { recall_at_1, map_at_r } = Figures::of(&measured.evaluation);
        let of_validation = judged.map(Figures::of);
        let record = LogRecord::Evaluation { step, epochs, recall_at_1, map_at_r, validation: of_validation };
        self.record(&record)?;
        (self.observer)(Event::Evaluated { epochs, measured: &measured, validation: validation.as_ref() });
        self.measured = Some(measured);
        Ok(())
    }

    /// Writes one record to the log, and to the event file where there is one.
    fn record(&mut self, record: &LogRecord) -> Result<(), TrainError> {
        self.log.append(record)?;
        self.events.as_mut().map_or(Ok(()), |events| events.append(record))
    }

    /// Writes the proxies of this step to `path`, where there are any.
    pub fn save_proxies(&self, path: &Path) -> Result<(), TrainError> {
        let TrainingState { learner, proxy_memory, .. } = &self.state;
        match learner.class_proxies(proxy_memory, &self.trainer.config.proxies) {
            Some(proxies) => RunFolder::write_proxies(path, &proxies),
            None => Ok(()),
        }
    }

    pub fn save_checkpoint(&mut self) -> Result<(), TrainError> {
        let mut progress = self.progress.clone();
        if self.trainer.config.deterministic {
            progress.seconds = 0.0;
        }
        // Lines that a checkpoint counts must outlast a power cut, or the log of a resumed run has a hole.
        self.sync_log()?;
        self.state.save(&self.folder.latest_checkpoint(), &progress)
    }

    fn sync_log(&mut self) -> Result<(), TrainError> {
        self.log.sync()?;
        self.events.as_mut().map_or(Ok(()), EventFile::sync)
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
        let unreadable = self.loader.unreadable().files;
        for (path, reason) in &unreadable {
            self.warn(&format!("skipped {}: {reason}", path.display()))?;
        }
        let mut encoder = self.state.encoder().valid();
        let mut training = None;
        if finished {
            let selection = self.progress.selection;
            let mut kept_step = self.progress.step;
            let is_best = selection.selected_on_validation.map(|m| m.step) == selection.last.map(|m| m.step);
            if self.trainer.config.selection.keep == Keep::Best && !is_best {
                let Trainer { backbone, device, config, .. } = self.trainer;
                encoder = load_fine_tuned(&self.folder.best_model(), backbone, device)?;
                encoder.backbone.compute = config.compute;
                self.measured = None;
                kept_step = selection.selected_on_validation.map_or(kept_step, |moment| moment.step);
                if self.folder.best_proxies().is_file() {
                    RunFolder::copy_proxies(&self.folder.best_proxies(), &self.folder.proxies())?;
                }
            } else {
                self.save_proxies(&self.folder.proxies())?;
            }
            let measured = match self.measured.take() {
                Some(measured) => measured,
                None => self.trainer.measure(&encoder)?, // resumed after the last epoch, or another state is kept
            };
            self.folder.write_json(&self.folder.selection(), serde_json::to_vec_pretty(&selection))?;
            let info = self.trainer.fine_tuning_info(self.progress.epoch, self.progress.step, kept_step);
            save_fine_tuning(&self.folder.model(), &encoder, &info)?;
            self.folder.write_json(&self.folder.metrics(), serde_json::to_vec_pretty(&measured.evaluation))?;
            let happened = self.trainer.training_facts(self.progress.epoch, self.progress.step, kept_step);
            let card = ModelCard {
                info: &info,
                facts: &happened,
                seed: self.trainer.config.seed,
                evaluation: &measured.evaluation,
                trainable: facts.kept,
                unreadable: [unreadable.len(), measured.unreadable.len()],
                selection: &selection,
            };
            self.folder.write(&self.folder.card(), card.to_markdown().as_bytes())?;
            let queries = measured.query_scores();
            self.folder.write_json(&self.folder.queries(), serde_json::to_vec(&queries))?;
            let cost = self.cost(&facts);
            self.folder.write_json(&self.folder.cost(), serde_json::to_vec_pretty(&cost))?;
            self.measured = Some(measured);
            training = Some(happened);
        }
        // An evaluation on the way is not the result of a run that was stopped.
        let measured = self.measured.filter(|_| finished);
        Ok(Outcome { facts, training, measured, encoder, seconds: self.progress.seconds })
    }
}
