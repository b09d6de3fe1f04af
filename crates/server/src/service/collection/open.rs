//! Opening collections, and noticing that one was migrated.

use std::path::PathBuf;
use std::sync::Arc;

use kinsight_index::{Fingerprint, Index};
use kinsight_model::hosting::SharedBackbone;
use kinsight_model::{Backbone, Compute, ComputeChoice, Device, ModelRef};

use super::Collection;
use crate::error::ServerError;
use crate::service::inference::HostedModel;

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
    /// How the model is asked to compute; in the index's precision unless another is asked for.
    pub compute: ComputeChoice,
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
        let manifest = index.manifest();
        let named = ModelRef { run: spec.run.clone(), backbone: spec.backbone.clone() };
        let choice = spec.compute.or_as(&manifest.fingerprint);
        let (model, fingerprint, model_name) = self.model(&named.or_of(&manifest.model), choice)?;
        index.require_model(&fingerprint)?;
        Ok(Collection::new(spec.clone(), index, model, model_name))
    }
}

impl Opener {
    /// The model that `named` is, with its identity and its name.
    pub fn model(
        &mut self,
        named: &ModelRef,
        choice: ComputeChoice,
    ) -> Result<(Arc<HostedModel>, Fingerprint, String), ServerError> {
        let description = named.resolve()?;
        let compute = choice.over(description.compute());
        let shared = self.backbone(&description.backbone, compute)?;
        let identity = description.fine_tuning().map(str::to_owned);
        let known =
            self.models.iter().find(|(known, model)| *known == identity && Arc::ptr_eq(&model.backbone, &shared));
        let model = match known {
            Some((_, model)) => model.clone(),
            None => {
                let encoder = description.attach(&shared)?;
                let model = Arc::new(HostedModel { backbone: shared, encoder });
                self.models.push((identity, model.clone()));
                model
            }
        };
        let fingerprint = description.fingerprint(model.encoder.encoder())?;
        Ok((model, fingerprint, description.name()))
    }

    /// The shared tensors of `backbone`, loaded if no collection has needed them yet.
    fn backbone(&mut self, backbone: &Arc<Backbone>, compute: Compute) -> Result<Arc<SharedBackbone>, ServerError> {
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
        let shared = Arc::new(SharedBackbone::load(backbone.clone(), compute, &Device::flex())?);
        self.backbones.push((compute, shared.clone()));
        Ok(shared)
    }

    /// Forgets models that no collection uses any more.
    pub fn tidy(&mut self) {
        self.models.retain(|(_, model)| Arc::strong_count(model) > 1);
        self.backbones.retain(|(_, shared)| Arc::strong_count(shared) > 1);
    }
}
