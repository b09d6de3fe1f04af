//! Pretrained backbones: finding them, knowing what they expect, reading them.

mod hub_files;
mod locate;
pub mod registry;

use std::path::Path;

use burn::tensor::Device;
use kinsight_data::Preprocess;

use crate::error::ModelError;
use crate::vit::config::VitConfig;
use crate::vit::{Pooling, VisionTransformer};
use crate::weights::{BackboneSource, Layout, WeightFile, infer_config};

pub use hub_files::HubFiles;
pub use locate::{Location, locate};

/// The built-in weights; `kinsight pretrain` made them by the recipe `configs/pretrain_nano.toml`.
static NANO: &[u8] = include_bytes!("../../assets/kinsight_nano.safetensors");

/// Key of a file's metadata under which Kinsight keeps the architecture as JSON.
pub const CONFIG_KEY: &str = "kinsight.config";
/// Key of a file's metadata under which Kinsight keeps the preprocessing as JSON.
pub const PREPROCESS_KEY: &str = "kinsight.preprocess";

/// A pretrained backbone: weights, architecture, preprocessing, identity.
#[derive(Debug)]
pub struct Backbone {
    /// What it is called: the registry name, or the file's name.
    pub name: String,
    /// Architecture, at the input size in use.
    pub config: VitConfig,
    /// Mean, standard deviation, input size and resize.
    pub preprocess: Preprocess,
    /// What stands for an image unless a fine-tuning says otherwise.
    pub pooling: Pooling,
    /// Hash of the weights.
    pub fingerprint: String,
    /// Whether mean and standard deviation are a guess, because the file does not say and its name is unknown.
    pub preprocess_is_a_guess: bool,
    weights: WeightFile,
}

impl Backbone {
    /// Finds and opens the backbone called `name`, or the file at that path, for an input of `image_size` pixels
    /// (`None`: the size it was trained with).
    ///
    /// # Errors
    /// [`ModelError`] if it cannot be found or read, or if it is not a ViT.
    pub fn open(name: &str, image_size: Option<usize>) -> Result<Self, ModelError> {
        match locate(name)? {
            Location::BuiltIn(entry) => {
                let weights = WeightFile::from_static(entry.name, NANO)?;
                Self::with_weights(entry.name.to_string(), weights, Some(entry), &HubFiles::default(), image_size)
            }
            Location::File(path, entry) => {
                let name = entry.as_ref().map_or_else(|| file_name(&path), |entry| entry.name.to_string());
                let hub = HubFiles::beside(&path)?;
                Self::with_weights(name, WeightFile::open(&path)?, entry, &hub, image_size)
            }
        }
    }

    fn with_weights(
        name: String,
        weights: WeightFile,
        entry: Option<registry::RegistryEntry>,
        hub: &HubFiles,
        image_size: Option<usize>,
    ) -> Result<Self, ModelError> {
        let stored_config = json_metadata::<VitConfig>(&weights, CONFIG_KEY)?;
        let stored_preprocess = json_metadata::<Preprocess>(&weights, PREPROCESS_KEY)?;
        let known = stored_config.or_else(|| entry.as_ref().map(|entry| entry.config.clone()));
        let mut config = match known {
            Some(config) => config,
            None => inferred(&name, &weights, hub)?,
        };
        let known = stored_preprocess.or_else(|| entry.as_ref().map(|entry| entry.preprocess));
        let known = known.or_else(|| hub.preprocess());
        let preprocess_is_a_guess = known.is_none();
        let mut preprocess = known.unwrap_or_default();
        let trained = preprocess.input_size_px.max(1) as usize;
        // DINOv2 in transformers' layout has positions for 518 px and is published for use at 224.
        let published = (!preprocess_is_a_guess && trained.is_multiple_of(config.patch_size.max(1))).then_some(trained);
        let wanted = image_size.or(published).unwrap_or(config.image_size);
        if wanted != trained {
            // Another input size keeps the crop's share of the resized image.
            preprocess.resize_size_px = (preprocess.resize_size_px as usize * wanted).div_ceil(trained) as u32;
            preprocess.input_size_px = wanted as u32;
        }
        config.image_size = wanted;
        config.validate()?;
        let fingerprint = weights.fingerprint();
        let stated = hub.pooling().filter(|pooling| config.check_pooling(*pooling).is_ok());
        let pooling = entry.map(|entry| entry.pooling).or(stated).unwrap_or_else(|| config.natural_pooling());
        Ok(Self { name, config, preprocess, pooling, fingerprint, preprocess_is_a_guess, weights })
    }

    /// Whose tensor names the weights have.
    pub fn layout(&self) -> Layout {
        self.weights.names().layout
    }

    /// The weights as a source of parameters without prefix; call its `finish` after building.
    pub fn source(&self, device: &Device) -> BackboneSource<'_> {
        BackboneSource::new(&self.weights, &self.config, device)
    }

    /// The bare transformer.
    ///
    /// # Errors
    /// [`ModelError::Weights`] lists every tensor that does not fit.
    pub fn load(&self, device: &Device) -> Result<VisionTransformer, ModelError> {
        let mut source = self.source(device);
        let model = VisionTransformer::from_source(&mut source, "", &self.config, None);
        source.finish()?;
        Ok(model)
    }
}

/// The architecture that shapes, `config.json` and the file's name tell.
fn inferred(name: &str, weights: &WeightFile, hub: &HubFiles) -> Result<VitConfig, ModelError> {
    let mut config = infer_config(&weights.shapes())?;
    let (architecture, tag) = name.split_once('.').unwrap_or((name, ""));
    config.activation = hub_files::timm_activation(architecture, tag, config.activation);
    hub.apply(config)
}

/// What a file is called: its own name, or its folder's if every such file has the same name.
fn file_name(path: &Path) -> String {
    let named_after_folder = path.file_name().is_some_and(|name| name == "model.safetensors");
    let path = path.parent().filter(|parent| named_after_folder && parent.file_name().is_some()).unwrap_or(path);
    if named_after_folder {
        return path.file_name().map(|name| name.to_string_lossy().to_string()).unwrap_or_default();
    }
    path.file_stem().map(|stem| stem.to_string_lossy().to_string()).unwrap_or_else(|| path.display().to_string())
}

fn json_metadata<T: serde::de::DeserializeOwned>(file: &WeightFile, key: &str) -> Result<Option<T>, ModelError> {
    let Some(text) = file.metadata().get(key) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| ModelError::Format {
        path: file.path().to_path_buf(),
        reason: format!("metadata {key}: {error}"),
    })
}
