//! The model that a command measures or embeds with: a run's, or a bare backbone.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_data::Preprocess;
use kinsight_model::finetuned::{load_fine_tuned, read_info};
use kinsight_model::weights::WeightFile;
use kinsight_model::{Backbone, Compute, Encoder};
use kinsight_train::TrainConfig;
use kinsight_train::run::RunFolder;

use super::settings::apply;
use crate::arguments::ComputeArgs;

/// A model that is loaded.
pub struct Subject {
    /// The model.
    pub encoder: Encoder,
    /// How its images are prepared.
    pub preprocess: Preprocess,
    /// What to call it.
    pub name: String,
    /// Hashes of its weights.
    pub fingerprint: String,
    /// Settings of the run, if it is one's.
    pub config: Option<TrainConfig>,
}

/// Loads the fine-tuning of `run`, or the bare `backbone`; with both, the run's onto that backbone.
pub fn load(run: Option<&Path>, backbone: Option<&str>, compute: &ComputeArgs, device: &Device) -> Result<Subject> {
    let mut subject = match run {
        Some(path) => fine_tuned(&RunFolder::at(path), backbone, device)?,
        None => bare(backbone.context("--backbone is missing")?, device)?,
    };
    let mut settings = subject.config.as_ref().map_or_else(Compute::default, |config| config.compute);
    apply(compute, &mut settings);
    subject.encoder.backbone.compute = settings;
    Ok(subject)
}

fn bare(name: &str, device: &Device) -> Result<Subject> {
    let backbone = Backbone::open(name, None)?;
    if backbone.preprocess_is_a_guess {
        eprintln!("warning: the backbone does not say how its images were normalized; ImageNet's values are used");
    }
    Ok(Subject {
        encoder: Encoder::bare(&backbone, None, device)?,
        preprocess: backbone.preprocess,
        name: format!("{} (zero-shot)", backbone.name),
        fingerprint: backbone.fingerprint,
        config: None,
    })
}

fn fine_tuned(folder: &RunFolder, backbone: Option<&str>, device: &Device) -> Result<Subject> {
    let config = folder.read_config()?;
    let info = read_info(&folder.model()).with_context(|| {
        format!("{} has no finished fine-tuning; finish it with `kinsight train --resume`", folder.root().display())
    })?;
    let name = backbone.unwrap_or(&info.backbone);
    let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize))?;
    let tuned = WeightFile::open(&folder.model())?.fingerprint();
    Ok(Subject {
        encoder: load_fine_tuned(&folder.model(), &backbone, device)?,
        preprocess: info.preprocess,
        name: config.method.clone(),
        fingerprint: format!("{}+{tuned}", backbone.fingerprint),
        config: Some(config),
    })
}
