//! Opening collections, and noticing that one was migrated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use kinsight_index::{Fingerprint, Index};
use kinsight_model::finetuned::read_info;
use kinsight_model::hosting::SharedBackbone;
use kinsight_model::weights::WeightFile;
use kinsight_model::{Backbone, Compute};

use super::Collection;
use crate::error::ServerError;
use crate::service::inference::HostedModel;

/// The fine-tuning in a run's folder.
const MODEL_FILE: &str = "model.safetensors";

/// A collection to serve.
#[derive(Clone, Debug)]
pub struct CollectionSpec {
    /// Its name in URLs: 1 to 64 of `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// The index.
    pub index: PathBuf,
    /// The run whose fine-tuning made it; `None` takes the model that the index names.
    pub run: Option<PathBuf>,
    /// The backbone, in place of the one that the run or the index names.
    pub backbone: Option<String>,
    /// How the model computes.
    pub compute: Compute,
}

/// Opens models, each backbone once.
#[derive(Debug, Default)]
pub(crate) struct Opener {
    backbones: Vec<(Compute, Arc<SharedBackbone>)>,
    /// With the identity of the fine-tuning.
    models: Vec<(Option<String>, Arc<HostedModel>)>,
}

/// Opens all collections; their models share what they can.
pub(crate) fn open_all(specs: &[CollectionSpec], opener: &mut Opener) -> Result<Vec<Collection>, ServerError> {
    let mut opened: Vec<Collection> = Vec::new();
    for spec in specs {
        if !is_plain_name(&spec.name) {
            return Err(ServerError::CollectionName { name: spec.name.clone() });
        }
        if opened.iter().any(|other| other.spec.name == spec.name) {
            return Err(ServerError::SameName { name: spec.name.clone() });
        }
        opened.push(opener.open(spec)?);
    }
    Ok(opened)
}

/// Whether a name can stand in a URL and be a folder's.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

impl Opener {
    /// Opens one collection.
    pub fn open(&mut self, spec: &CollectionSpec) -> Result<Collection, ServerError> {
        let index = Index::open(&spec.index)?;
        self.with_index(spec, index)
    }

    /// A collection over an open index: its model is loaded, or taken from what is loaded already.
    pub fn with_index(&mut self, spec: &CollectionSpec, index: Index) -> Result<Collection, ServerError> {
        let source = index.manifest().model.clone();
        let run = spec.run.clone().or(source.run);
        let backbone = spec.backbone.clone().unwrap_or(source.backbone);
        let (model, fingerprint, model_name) = self.model(run.as_deref(), &backbone, spec)?;
        index.require_model(&fingerprint)?;
        Ok(Collection::new(spec.clone(), index, model, model_name))
    }
}

impl Opener {
    /// The model of a run over `backbone`, or the bare backbone; with its identity and its name.
    pub fn model(
        &mut self,
        run: Option<&Path>,
        backbone: &str,
        spec: &CollectionSpec,
    ) -> Result<(Arc<HostedModel>, Fingerprint, String), ServerError> {
        let file = run.map(|run| run.join(MODEL_FILE));
        let info = file.as_deref().map(read_info).transpose()?;
        let name = match (&info, &spec.backbone) {
            (Some(info), None) => info.backbone.clone(),
            _ => backbone.to_string(),
        };
        let side = info.as_ref().map(|info| info.preprocess.input_size_px as usize);
        let shared = self.backbone(Backbone::open(&name, side)?, spec.compute)?;
        let (identity, run_name) = match (&file, run) {
            (Some(file), Some(run)) => (
                Some(WeightFile::open(file)?.fingerprint()),
                run.file_name().map(|name| name.to_string_lossy().into_owned()),
            ),
            _ => (None, None),
        };
        let label = match run_name {
            Some(run) => format!("{run} on {}", shared.backbone().name),
            None => shared.backbone().name.clone(),
        };
        let known =
            self.models.iter().find(|(known, model)| *known == identity && Arc::ptr_eq(&model.backbone, &shared));
        let model = match known {
            Some((_, model)) => model.clone(),
            None => {
                let encoder = match &file {
                    Some(file) => shared.attach(file)?,
                    None => shared.bare(None)?,
                };
                let model = Arc::new(HostedModel { backbone: shared.clone(), encoder });
                self.models.push((identity.clone(), model.clone()));
                model
            }
        };
        let fingerprint = Fingerprint {
            backbone: shared.backbone().fingerprint.clone(),
            fine_tuning: identity,
            preprocess: serde_json::to_string(model.encoder.preprocess()).unwrap_or_default(),
            embedding: model.encoder.embedding_size(),
            library: Fingerprint::LIBRARY.into(),
        };
        Ok((model, fingerprint, label))
    }

    /// The shared tensors of `backbone`, loaded if no collection has needed them yet.
    fn backbone(&mut self, backbone: Backbone, compute: Compute) -> Result<Arc<SharedBackbone>, ServerError> {
        let known = self.backbones.iter().find(|(computes, shared)| {
            let other = shared.backbone();
            *computes == compute
                && other.fingerprint == backbone.fingerprint
                && other.config == backbone.config
                && other.preprocess == backbone.preprocess
        });
        if let Some((_, shared)) = known {
            return Ok(shared.clone());
        }
        let shared = Arc::new(SharedBackbone::load(backbone, compute, &Device::flex())?);
        self.backbones.push((compute, shared.clone()));
        Ok(shared)
    }

    /// Forgets models that no collection uses any more.
    pub fn tidy(&mut self) {
        self.models.retain(|(_, model)| Arc::strong_count(model) > 1);
        self.backbones.retain(|(_, shared)| Arc::strong_count(shared) > 1);
    }
}
