//! Opening an embedding model: a run's fine-tuning over its backbone, or a bare backbone.
//!
//! This is the one way from what a user names to something that turns images into vectors, with the identity that an index
//! compares. [`ModelRef::resolve`] reads what the files say of themselves; the result is loaded on its own
//! ([`ModelDescription::load`]) or attached to a backbone that other fine-tunings share ([`ModelDescription::attach`]).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::{Fingerprint, ImageEmbedder, ModelSource, Preprocess};
use serde_json::Value;

use crate::backbone::Backbone;
use crate::encoder::Encoder;
use crate::engine::{Checkpoint, Compute, Engine, Precision, fused_runs};
use crate::error::ModelError;
use crate::finetuned::{FineTuningInfo, MODEL_FILE, load_fine_tuned, read_info};
use crate::hosting::{HostedEncoder, SharedBackbone};
use crate::training_facts::TrainingFacts;
use crate::tuning::Tuning;
use crate::weights::WeightFile;

/// A model as a user names it: a run, a backbone, or a run's fine-tuning over another place of its backbone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRef {
    /// Run folder with a fine-tuning.
    pub run: Option<PathBuf>,
    /// Registry name or path of the backbone; with a run, in place of the one that the run names.
    pub backbone: Option<String>,
}

/// How a model is asked to compute; what is `None` is as the run was trained, or the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputeChoice {
    /// Implementation of the block.
    pub engine: Option<Engine>,
    /// Arithmetic of the matrix products.
    pub precision: Option<Precision>,
    /// What is kept for the backward pass.
    pub checkpoint: Option<Checkpoint>,
}

/// What the files of a model say, before its tensors are read.
#[derive(Debug)]
pub struct ModelDescription {
    /// The backbone.
    pub backbone: Arc<Backbone>,
    /// What the fine-tuning says about itself; `None` for a bare backbone.
    pub info: Option<FineTuningInfo>,
    /// Where it was found, in absolute paths.
    pub source: ModelSource,
    /// File and hash of the fine-tuning.
    fine_tuning: Option<(PathBuf, String)>,
}

/// A loaded model with its identity.
#[derive(Debug)]
pub struct EmbeddingModel {
    /// Images to unit embeddings.
    pub encoder: Encoder,
    /// How images are prepared for it.
    pub preprocess: Preprocess,
    /// What determines its embeddings.
    pub fingerprint: Fingerprint,
    /// What to call it: `RUN on BACKBONE`, or the backbone's name.
    pub name: String,
    /// Where it was found.
    pub source: ModelSource,
    /// What is attached to the backbone.
    pub tuning: Tuning,
    /// What is known of the run; `None` for a bare backbone and for runs of older versions.
    pub training: Option<TrainingFacts>,
    /// Where it computes.
    pub device: Device,
}

impl ModelRef {
    /// The model that an index was made with, where `self` does not name another: a run brings its own backbone, a backbone
    /// alone stands in for the one that the index's run names.
    #[must_use]
    pub fn or_of(self, source: &ModelSource) -> Self {
        match self {
            Self { run: Some(run), backbone } => Self { run: Some(run), backbone },
            Self { run: None, backbone } => {
                Self { run: source.run.clone(), backbone: Some(backbone.unwrap_or_else(|| source.backbone.clone())) }
            }
        }
    }

    /// Finds the files and reads what they say.
    ///
    /// # Errors
    /// [`ModelError::NoModel`] if nothing is named; [`ModelError::Unfinished`] for a run without a fine-tuning;
    /// [`ModelError::OtherBackbone`] if the run was trained on another one; whatever keeps files from being read.
    pub fn resolve(&self) -> Result<ModelDescription, ModelError> {
        let Some(run) = &self.run else {
            let name = self.backbone.as_deref().ok_or(ModelError::NoModel)?;
            let source = ModelSource { run: None, backbone: absolute_if_path(name)? };
            let backbone = Backbone::open(name, None)?.into();
            return Ok(ModelDescription { backbone, info: None, source, fine_tuning: None });
        };
        let file = run.join(MODEL_FILE);
        if !file.is_file() {
            return Err(ModelError::Unfinished { run: run.clone() });
        }
        let info = read_info(&file)?;
        let name = self.backbone.as_deref().unwrap_or(&info.backbone);
        let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize));
        let backbone = backbone.map_err(|error| match error {
            ModelError::Backbone { message, hint } if self.backbone.is_none() => ModelError::Backbone {
                message: format!("{message}, which is the backbone that the run {} names", run.display()),
                hint: format!("name the place where it is now with --backbone; {hint}"),
            },
            error => error,
        })?;
        info.require_backbone(&file, &backbone)?;
        let source = ModelSource {
            run: Some(std::fs::canonicalize(run).map_err(unfindable(run))?),
            backbone: absolute_if_path(name)?,
        };
        let hash = WeightFile::open(&file)?.fingerprint();
        Ok(ModelDescription { backbone: backbone.into(), info: Some(info), source, fine_tuning: Some((file, hash)) })
    }
}

impl ComputeChoice {
    /// What is asked for, over `base`.
    pub fn over(self, base: Compute) -> Compute {
        Compute {
            engine: self.engine.unwrap_or(base.engine),
            precision: self.precision.unwrap_or(base.precision),
            checkpoint: self.checkpoint.unwrap_or(base.checkpoint),
        }
    }

    /// The precision of embeddings that exist, unless another is asked for; that one is refused where the embeddings are
    /// compared, since scores would shift.
    #[must_use]
    pub fn or_as(self, made: &Fingerprint) -> Self {
        let known = made.precision.clone().and_then(|name| serde_json::from_value(Value::String(name)).ok());
        Self { precision: self.precision.or(known), ..self }
    }
}

impl ModelDescription {
    /// What to call it: `RUN on BACKBONE`, or the backbone's name.
    pub fn name(&self) -> String {
        let run = self.source.run.as_deref().and_then(Path::file_name);
        run.map_or_else(
            || self.backbone.name.clone(),
            |run| format!("{} on {}", run.to_string_lossy(), self.backbone.name),
        )
    }

    /// How images are prepared.
    pub fn preprocess(&self) -> Preprocess {
        self.info.as_ref().map_or(self.backbone.preprocess, |info| info.preprocess)
    }

    /// What is known of the run.
    pub fn training(&self) -> Option<&TrainingFacts> {
        self.info.as_ref()?.training.as_ref()
    }

    /// How to compute where nothing else is asked for: in the precision of the run.
    pub fn compute(&self) -> Compute {
        let trained = self.training().map(|training| training.precision);
        Compute { precision: trained.unwrap_or_default(), ..Compute::default() }
    }

    /// Identity of the fine-tuning's file; `None` for a bare backbone.
    pub fn fine_tuning(&self) -> Option<&str> {
        self.fine_tuning.as_ref().map(|(_, hash)| hash.as_str())
    }

    /// What determines the embeddings of `encoder`, which this description was loaded or attached as.
    ///
    /// # Errors
    /// [`ModelError::Config`] if the preprocessing cannot be written down.
    pub fn fingerprint(&self, encoder: &Encoder) -> Result<Fingerprint, ModelError> {
        let preprocess = serde_json::to_string(&self.preprocess())
            .map_err(|error| ModelError::Config { message: format!("preprocessing: {error}") })?;
        Ok(Fingerprint {
            backbone: self.backbone.fingerprint.clone(),
            fine_tuning: self.fine_tuning().map(str::to_owned),
            preprocess,
            embedding: encoder.embedding_size(),
            library: Fingerprint::LIBRARY.to_owned(),
            precision: Some(precision_name(encoder)),
            pooling: Some(encoder.pooling.name().to_owned()),
        })
    }

    /// Reads the tensors to `device`.
    ///
    /// # Errors
    /// [`ModelError::Weights`] lists every tensor that does not fit.
    pub fn load(self, compute: Compute, device: &Device) -> Result<EmbeddingModel, ModelError> {
        let device = device.clone().without_autodiff();
        let mut encoder = match &self.fine_tuning {
            Some((file, _)) => load_fine_tuned(file, &self.backbone, &device)?,
            None => Encoder::bare(&self.backbone, None, &device)?,
        };
        encoder.backbone.compute = compute;
        let (fingerprint, name, preprocess) = (self.fingerprint(&encoder)?, self.name(), self.preprocess());
        let (tuning, training) = self.info.map_or_else(Default::default, |info| (info.tuning, info.training));
        let encoder = encoder.valid();
        Ok(EmbeddingModel { encoder, preprocess, fingerprint, name, source: self.source, tuning, training, device })
    }

    /// The model over tensors that it shares with others; `shared` holds this description's backbone.
    ///
    /// # Errors
    /// [`ModelError::OtherBackbone`] if it was trained on another one; [`ModelError::Weights`] if tensors do not fit.
    pub fn attach(&self, shared: &SharedBackbone) -> Result<HostedEncoder, ModelError> {
        match &self.fine_tuning {
            Some((file, _)) => shared.attach(file),
            None => shared.bare(None),
        }
    }
}

/// Opens and loads `model` in one go.
///
/// # Errors
/// Those of [`ModelRef::resolve`] and [`ModelDescription::load`].
pub fn open(model: &ModelRef, choice: ComputeChoice, device: &Device) -> Result<EmbeddingModel, ModelError> {
    let description = model.resolve()?;
    let compute = choice.over(description.compute());
    description.load(compute, device)
}

impl EmbeddingModel {
    /// The unit embedding of each prepared image.
    ///
    /// # Shapes
    /// `images` `[count, 3, S, S]`; the result `[count, E]`
    pub fn embed_prepared(&self, images: Vec<f32>, count: usize) -> Vec<f32> {
        let side = self.preprocess.input_size_px as usize;
        let images = Tensor::<4>::from_data(TensorData::new(images, [count, 3, side, side]), &self.device);
        self.encoder.forward(images).into_data().iter::<f32>().collect()
    }
}

impl ImageEmbedder for EmbeddingModel {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    fn embed(&self, images: Vec<f32>, count: usize) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        Ok(self.embed_prepared(images, count))
    }
}

/// The precision that really computes: bf16 exists in the fused block alone.
fn precision_name(encoder: &Encoder) -> String {
    let compute = encoder.backbone.compute;
    let fused = fused_runs(compute, &encoder.backbone.norm.weight.device());
    let precision = if fused { compute.precision } else { Precision::F32 };
    serde_json::to_value(precision).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

fn unfindable(path: &Path) -> impl FnOnce(std::io::Error) -> ModelError {
    move |source| ModelError::Io { action: "find", path: path.to_owned(), source }
}

/// `name` so that it means the same from every folder: a path that exists becomes absolute, a registry name stays one.
///
/// # Errors
/// [`ModelError::Io`] if the path cannot be followed.
pub fn absolute_if_path(name: &str) -> Result<String, ModelError> {
    let path = Path::new(name);
    // Links stay: in the hub's cache only the link has the weights' name, and config.json next to it.
    let absolute = || std::path::absolute(path).map_err(unfindable(path));
    Ok(if path.exists() { absolute()?.to_string_lossy().into_owned() } else { name.to_owned() })
}
