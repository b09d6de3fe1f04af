//! A fine-tuning on disk: the trained tensors of an encoder alone, with what is needed to put them back.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::Preprocess;
use serde::{Deserialize, Serialize};

use crate::backbone::Backbone;
use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::hosting::FrozenTensors;
use crate::parameters::{ParameterSource, selected_tensors};
use crate::training_facts::TrainingFacts;
use crate::tuning::Tuning;
use crate::weights::{TensorMap, WeightFile, write_safetensors};

/// Key of the file's metadata that holds [`FineTuningInfo`] as JSON.
pub const INFO_KEY: &str = "kinsight.fine_tuning";

/// Name of a fine-tuning's file in its run folder.
pub const MODEL_FILE: &str = "model.safetensors";

/// What a fine-tuning was trained on and how; stored in the metadata of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FineTuningInfo {
    /// Version of Kinsight that wrote it.
    pub version: String,
    /// Name or path of the backbone.
    pub backbone: String,
    /// Hash of the backbone's weights.
    pub backbone_fingerprint: String,
    /// What is attached.
    pub tuning: Tuning,
    /// How images are prepared.
    pub preprocess: Preprocess,
    /// What is known of the run; `None` where an older version wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingFacts>,
}

impl FineTuningInfo {
    /// Refuses a backbone that the fine-tuning at `path` was not trained on.
    pub(crate) fn require_backbone(&self, path: &Path, backbone: &Backbone) -> Result<(), ModelError> {
        if self.backbone_fingerprint == backbone.fingerprint {
            return Ok(());
        }
        Err(ModelError::OtherBackbone {
            path: path.to_path_buf(),
            expected: format!("{} ({})", self.backbone, self.backbone_fingerprint),
            found: format!("{} ({})", backbone.name, backbone.fingerprint),
        })
    }
}

/// Writes the trained tensors of `encoder` to `path`.
///
/// # Errors
/// [`ModelError::Io`]; an existing file is untouched then.
pub fn save_fine_tuning(path: &Path, encoder: &Encoder, info: &FineTuningInfo) -> Result<(), ModelError> {
    let tensors = trained_tensors(encoder, &info.tuning);
    let json = serde_json::to_string(info)
        .map_err(|error| ModelError::Format { path: path.to_path_buf(), reason: error.to_string() })?;
    write_safetensors(path, &tensors, BTreeMap::from([(INFO_KEY.to_string(), json)]))
}

/// Reads only what a fine-tuning says about itself.
///
/// # Errors
/// [`ModelError`] if the file cannot be read or is not a fine-tuning.
pub fn read_info(path: &Path) -> Result<FineTuningInfo, ModelError> {
    info_of(&WeightFile::open(path)?)
}

/// Puts the fine-tuning at `path` onto `backbone`.
///
/// # Errors
/// [`ModelError::OtherBackbone`] if it was trained on another one; [`ModelError::Weights`] if tensors do not fit.
pub fn load_fine_tuned(path: &Path, backbone: &Backbone, device: &Device) -> Result<Encoder, ModelError> {
    load_fine_tuned_over(path, backbone, &FrozenTensors::default(), device).map(|(encoder, _)| encoder)
}

/// As [`load_fine_tuned`], but tensors that are in `frozen` and that the fine-tuning leaves alone are shared, not read;
/// the second result is the memory of those that are not shared, in bytes.
pub(crate) fn load_fine_tuned_over(
    path: &Path,
    backbone: &Backbone,
    frozen: &FrozenTensors,
    device: &Device,
) -> Result<(Encoder, usize), ModelError> {
    let file = WeightFile::open(path)?;
    let info = info_of(&file)?;
    info.require_backbone(path, backbone)?;
    backbone.config.check_pooling(info.tuning.pooling.unwrap_or_default())?;
    let mut backbone_source = backbone.source(device);
    let mut source = Overlay {
        file: &file,
        tuning: &info.tuning,
        backbone: &mut backbone_source,
        frozen,
        used: 0,
        own_bytes: 0,
        problems: Vec::new(),
    };
    let encoder = Encoder::from_source(&mut source, &backbone.config, &info.tuning);
    let Overlay { mut problems, used, own_bytes, .. } = source;
    let found = file.shapes().len();
    if found != used && problems.is_empty() {
        problems.push(format!("  {found} tensors in the file, {used} expected"));
    }
    if !problems.is_empty() {
        return Err(ModelError::Weights { path: path.to_path_buf(), problems });
    }
    backbone_source.finish_partial()?;
    Ok((encoder, own_bytes))
}

fn info_of(file: &WeightFile) -> Result<FineTuningInfo, ModelError> {
    let invalid = |reason: String| ModelError::Format { path: file.path().to_path_buf(), reason };
    let text = file
        .metadata()
        .get(INFO_KEY)
        .ok_or_else(|| invalid(format!("no metadata {INFO_KEY}: this is not a fine-tuning written by kinsight")))?;
    serde_json::from_str(text).map_err(|error| invalid(format!("metadata {INFO_KEY}: {error}")))
}

/// Trained tensors from the fine-tuning, all others from the backbone.
struct Overlay<'a, 'b> {
    file: &'a WeightFile,
    tuning: &'a Tuning,
    backbone: &'a mut crate::weights::BackboneSource<'b>,
    frozen: &'a FrozenTensors,
    used: usize,
    own_bytes: usize,
    problems: Vec<String>,
}

impl ParameterSource for Overlay<'_, '_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        if !self.tuning.trains(name) {
            let inner = name.strip_prefix("backbone.").unwrap_or(name);
            return self.backbone.values(inner, shape);
        }
        self.used += 1;
        let problem = match self.file.tensor(name) {
            Ok(Some((values, found))) if found == shape => return values,
            Ok(Some((_, found))) => format!("  {name}: expected shape {shape:?}, found {found:?}"),
            Ok(None) => format!("  missing {name}, expected shape {shape:?}"),
            Err(error) => format!("  {error}"),
        };
        self.problems.push(problem);
        vec![0.0; shape.iter().product()]
    }

    fn device(&self) -> &Device {
        self.backbone.device()
    }

    fn parameter<const R: usize>(&mut self, name: &str, shape: [usize; R]) -> Param<Tensor<R>> {
        let inner = name.strip_prefix("backbone.").unwrap_or(name);
        let shared = if self.tuning.trains(name) { None } else { self.frozen.get(inner, shape) };
        let tensor = shared.unwrap_or_else(|| {
            self.own_bytes += shape.iter().product::<usize>() * size_of::<f32>();
            let values = self.values(name, &shape);
            Tensor::from_data(TensorData::new(values, shape), self.device())
        });
        Param::initialized(ParamId::new(), tensor)
    }
}

/// The trained tensors of `encoder` by name.
pub fn trained_tensors(encoder: &Encoder, tuning: &Tuning) -> TensorMap {
    selected_tensors(encoder, |name, _| tuning.trains(name))
}
