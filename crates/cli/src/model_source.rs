//! The model that a command asks for by `--run`, `--backbone`, or by the index it works on: loaded, with its identity.

use std::error::Error;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::Preprocess;
use kinsight_index::{Fingerprint, ImageEmbedder, Index, ModelSource};
use kinsight_model::finetuned::{load_fine_tuned, read_info};
use kinsight_model::weights::WeightFile;
use kinsight_model::{Backbone, Compute, Encoder};
use kinsight_train::run::RunFolder;

use crate::arguments::{ComputeArgs, IndexModelArgs};
use crate::commands::settings::apply;

/// A model that turns images into vectors.
pub struct LoadedModel {
    encoder: Encoder,
    device: Device,
    preprocess: Preprocess,
    fingerprint: Fingerprint,
    source: ModelSource,
    name: String,
}

impl LoadedModel {
    /// Loads the fine-tuning of `run` over its backbone or over `backbone`, or `backbone` alone.
    pub fn open(run: Option<&Path>, backbone: Option<&str>, compute: &Choice<'_>) -> Result<Self> {
        let device = Device::flex().without_autodiff();
        let (mut encoder, preprocess, backbone, name, fine_tuning) = match run {
            None => {
                let name = backbone.context("no model: give --run or --backbone")?;
                let backbone = Backbone::open(name, None)?;
                if backbone.preprocess_is_a_guess {
                    eprintln!(
                        "warning: the backbone does not say how its images were normalized; ImageNet's values are used"
                    );
                }
                let encoder = Encoder::bare(&backbone, None, &device)?;
                (encoder, backbone.preprocess, backbone, name.to_owned(), None)
            }
            Some(run) => {
                let file = RunFolder::at(run).model();
                let info = read_info(&file).with_context(|| {
                    format!("{} has no finished fine-tuning; finish it with `kinsight train --resume`", run.display())
                })?;
                let name = backbone.unwrap_or(&info.backbone);
                let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize))?;
                let encoder = load_fine_tuned(&file, &backbone, &device)?;
                let fine_tuning = WeightFile::open(&file)?.fingerprint();
                (encoder, info.preprocess, backbone, name.to_owned(), Some(fine_tuning))
            }
        };
        encoder.backbone.compute = compute.of(run)?;
        let fingerprint = Fingerprint {
            backbone: backbone.fingerprint.clone(),
            fine_tuning,
            preprocess: serde_json::to_string(&preprocess)?,
            embedding: encoder.embedding_size(),
            library: Fingerprint::LIBRARY.to_owned(),
            precision: None,
            pooling: None,
        };
        let display = match run {
            Some(run) => format!("{} on {}", run.display(), backbone.name),
            None => backbone.name.clone(),
        };
        let source = ModelSource { run: run.map(absolute).transpose()?, backbone: absolute_if_path(&name)? };
        Ok(Self { encoder: encoder.valid(), device, preprocess, fingerprint, source, name: display })
    }

    /// The model of an index: as [`LoadedModel::open`], with what is not named taken from where the index found it.
    ///
    /// # Errors
    /// A model that cannot be loaded, or is not the one that the index was made with.
    pub fn of_index(index: &Index, run: Option<&Path>, backbone: Option<&str>, compute: &Choice<'_>) -> Result<Self> {
        let source = &index.manifest().model;
        let model = match (run, backbone) {
            (None, None) => Self::open(source.run.as_deref(), Some(&source.backbone), compute),
            // A run names its own backbone; a backbone alone may stand in for the one that the index's run names.
            (Some(run), backbone) => Self::open(Some(run), backbone, compute),
            (None, Some(backbone)) => Self::open(source.run.as_deref(), Some(backbone), compute),
        }?;
        index.require_model(model.fingerprint())?;
        Ok(model)
    }

    /// As [`LoadedModel::of_index`], by what a command line names.
    ///
    /// # Errors
    /// As there.
    pub fn named(index: &Index, arguments: &IndexModelArgs) -> Result<Self> {
        let choice = Choice::Flags(&arguments.compute);
        Self::of_index(index, arguments.run.as_deref(), arguments.backbone.as_deref(), &choice)
    }

    /// Where it was found.
    pub fn source(&self) -> &ModelSource {
        &self.source
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How a model computes.
pub enum Choice<'a> {
    /// By these flags over the settings of the run.
    Flags(&'a ComputeArgs),
    /// Just so.
    Settled(Compute),
}

impl Choice<'_> {
    fn of(&self, run: Option<&Path>) -> Result<Compute> {
        match self {
            Self::Settled(compute) => Ok(*compute),
            Self::Flags(flags) => {
                let mut compute = match run {
                    Some(run) => RunFolder::at(run).read_config()?.compute,
                    None => Compute::default(),
                };
                apply(flags, &mut compute);
                Ok(compute)
            }
        }
    }
}

impl ImageEmbedder for LoadedModel {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    fn embed(&self, images: Vec<f32>, count: usize) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        let side = self.preprocess.input_size_px as usize;
        let images = Tensor::<4>::from_data(TensorData::new(images, [count, 3, side, side]), &self.device);
        Ok(self.encoder.forward(images).into_data().iter::<f32>().collect())
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))
}

/// A path that leads to a file or a folder of the hub must go on leading there from another folder; a registry name stays one.
fn absolute_if_path(name: &str) -> Result<String> {
    let path = Path::new(name);
    Ok(if path.exists() { absolute(path)?.to_string_lossy().into_owned() } else { name.to_owned() })
}
