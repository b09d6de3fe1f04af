//! Measures what a run will take by a few steps of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kinsight_data::{Augment, Loader, LoaderOptions, Plan};
use kinsight_model::Encoder;
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_model::finetuned::save_fine_tuning;
use serde::Serialize;

use super::run::Run;
use super::{Event, RunFacts, Trainer};
use crate::bank::BankStorage;
use crate::error::TrainError;
use crate::health::Health;
use crate::run::{RunFolder, RunLog, peak_memory_bytes};
use crate::sampler::Sampler;

/// Batches of an evaluation that are tried: as many as exist at once while it runs, decoded ahead or in the model.
const EVALUATED_BATCHES: usize = 7;

/// What a run will take.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// Scalars of the whole learner.
    pub parameters: usize,
    /// Scalars that train, proxies and class prompts included.
    pub trainable: usize,
    /// Scalars that train and are kept in `model.safetensors`.
    pub kept: usize,
    /// Images and classes trained on.
    pub train: (usize, usize),
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Median of the measured steps, the first left out.
    pub seconds_per_step: f64,
    /// Steps of an epoch at that time each; evaluation is left out.
    pub seconds_per_epoch: f64,
    /// Largest resident size that the run will have.
    pub peak_memory_bytes: Option<u64>,
    /// Of that, decoded images that are kept between epochs.
    pub image_cache_bytes: u64,
    /// Memory of the prompt memory bank, once every class has been seen.
    pub bank_ram_bytes: u64,
    /// File of the prompt memory bank.
    pub bank_file_bytes: u64,
    /// A checkpoint.
    pub checkpoint_bytes: u64,
    /// The fine-tuning alone.
    pub model_bytes: u64,
    /// What the run folder holds at most: a new checkpoint is written before the old one is removed.
    pub disk_bytes: u64,
}

impl Trainer {
    /// Takes `steps` steps (at least 2) in a temporary folder, saves what a run saves, and removes it all.
    ///
    /// The peak is that of this process: what it did before counts too.
    ///
    /// # Errors
    /// Those that would stop the run.
    pub fn rehearse(&self, steps: usize) -> Result<Rehearsal, TrainError> {
        let temporary = tempfile::Builder::new()
            .prefix("kinsight-plan-")
            .tempdir()
            .map_err(|source| TrainError::Io { action: "create a folder in", path: std::env::temp_dir(), source })?;
        let folder = RunFolder::prepare(temporary.path(), self.config(), false)?;
        let sampler = Sampler::new(self.train.items_by_class(), self.config.sampling, self.config.seed)?;
        let options = self.loader_options(LoaderOptions::train());
        let loader = Loader::new(self.train.clone(), self.preprocess, options)?;
        let steps_per_epoch = sampler.batches();
        let batches: Vec<Vec<usize>> = (0..).flat_map(|epoch| sampler.epoch(epoch)).take(steps.max(2)).collect();
        let state = self.rehearsed_state(&folder)?;
        let facts = self.facts(&state, &sampler, 0);
        let progress = self.fresh_progress();
        let log = RunLog::open_at(&folder.log(), 0, 0)?;
        let mut silent = |_: Event<'_>| ();
        let observer = &mut silent;
        let mut run = Run {
            trainer: self,
            folder,
            log,
            events: None,
            loader,
            sampler,
            state,
            progress,
            observer,
            measured: None,
        };
        let augment = Augment::Train { seed: self.config.seed, epoch: 0 };
        let mut seconds = Vec::new();
        let mut health = Health::default();
        let mut started = Instant::now();
        for batch in run.loader.batches(Plan::new(batches, augment))? {
            run.step(vec![batch?], &mut health)?;
            seconds.push(started.elapsed().as_secs_f64());
            started = Instant::now();
            run.progress.step += 1;
        }
        run.save_checkpoint()?;
        let encoder = burn::module::Module::valid(&run.state.learner.encoder);
        let info = self.fine_tuning_info(self.config.epochs, facts.total_steps, facts.total_steps);
        save_fine_tuning(&run.folder.model(), &encoder, &info)?;
        run.save_proxies(&run.folder.proxies())?;
        self.rehearse_evaluation(&run.state.encoder())?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let (checkpoint_bytes, model_bytes) = (size(&run.folder.latest_checkpoint()), size(&run.folder.model()));
        let proxies_bytes = size(&run.folder.proxies());
        let (cached, cached_bytes) = run.loader.cached();
        let image_cache_bytes = match cached {
            0 => 0,
            _ => (cached_bytes / cached as u64 * self.train.len() as u64).min(options.cache_bytes),
        };
        let more_cache = image_cache_bytes.saturating_sub(cached_bytes);
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        let seconds_per_step = seconds[seconds.len() / 2];
        let bank_file_bytes = facts.bank.map_or(0, |bank| bank.file_bytes);
        let RunFacts { parameters, trainable, kept, train, .. } = facts;
        Ok(Rehearsal {
            parameters,
            trainable,
            kept,
            train,
            steps_per_epoch,
            seconds_per_step,
            seconds_per_epoch: seconds_per_step * steps_per_epoch as f64,
            peak_memory_bytes: peak_memory_bytes().map(|peak| peak + more_cache),
            image_cache_bytes,
            bank_ram_bytes: facts.bank.map_or(0, |bank| bank.ram_bytes),
            bank_file_bytes,
            checkpoint_bytes,
            model_bytes,
            disk_bytes: 2 * checkpoint_bytes + model_bytes + proxies_bytes + bank_file_bytes,
        })
    }

    /// Embeds a few batches of the test images: where little trains, an evaluation takes more memory than a step.
    fn rehearse_evaluation(&self, encoder: &Encoder) -> Result<(), TrainError> {
        let options = EmbedOptions { loader: self.loader_options(LoaderOptions::eval()), ..EmbedOptions::default() };
        let some: Vec<usize> = (0..self.test.len().min(EVALUATED_BATCHES * options.batch_size)).collect();
        embed_dataset(encoder, &Arc::new(self.test.select(&some)), self.preprocess, options, &self.device, |_| {})?;
        Ok(())
    }

    /// The starting state; a bank on disk is left sparse, since a few steps touch few of its rows.
    fn rehearsed_state(&self, folder: &RunFolder) -> Result<crate::run::TrainingState, TrainError> {
        let proxies = &self.config.proxies;
        if proxies.memory_bank && proxies.bank_storage == BankStorage::Disk {
            let classes = self.train.num_classes();
            let (width, moments) = (self.backbone.config.width, self.config.optimizer.moments());
            crate::bank::PromptBank::create_empty(&folder.bank(), classes, width, proxies.class_prompts, moments)?;
            return self.initial_state(folder, true);
        }
        self.initial_state(folder, false)
    }
}
