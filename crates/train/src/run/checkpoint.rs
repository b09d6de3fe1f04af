//! Checkpoints: everything a run needs to go on as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::Encoder;
use kinsight_model::parameters::{MapByName, inventory, map_by_name, named_tensors};
use kinsight_model::weights::{TensorMap, read_tensors, write_safetensors};
use serde::{Deserialize, Serialize};

use super::selection::SelectionState;
use crate::bank::PromptBank;
use crate::da_vpt::ClassSums;
use crate::error::TrainError;
use crate::learner::Learner;
use crate::optim::{MovingAverage, OptimizerState};

/// How far a run has come, and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// The epoch the next batch belongs to, from 0.
    pub epoch: usize,
    /// The next batch of that epoch, from 0.
    pub batch: usize,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Hash of the backbone's weights.
    pub backbone_fingerprint: String,
    /// Hash of the training set's files.
    pub data_fingerprint: String,
    /// What was measured so far.
    #[serde(default)]
    pub selection: SelectionState,
}

/// What changes while training. Random numbers need no state: each is a function of seed and step.
#[derive(Debug)]
pub struct TrainingState {
    /// All parameters.
    pub learner: Learner,
    /// Proxy memory Z, `[C, E]`; `state:container` on disk.
    pub proxy_memory: Tensor<2>,
    /// Optimizer state by parameter.
    pub optimizer: OptimizerState,
    /// Class prompts, if they live in a memory bank.
    pub bank: Option<PromptBank>,
    /// Moving average of the encoder's trained parameters, if there is one.
    pub average: Option<MovingAverage>,
    /// Embeddings of this epoch by class, which DA-VPT groups the classes by after each.
    pub class_sums: Option<ClassSums>,
}

const PROGRESS_KEY: &str = "kinsight.progress";

impl TrainingState {
    /// Writes the state to `path` atomically.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the file cannot be written; the previous checkpoint is untouched then.
    pub fn save(&mut self, path: &Path, progress: &Progress) -> Result<(), TrainError> {
        if let Some(bank) = &self.bank {
            bank.flush()?;
        }
        let trained: Vec<String> = inventory(&self.learner).into_iter().filter(|p| p.trains).map(|p| p.name).collect();
        let all = named_tensors(&self.learner);
        let mut tensors = TensorMap::new();
        let mut add = |prefix: &str, name: &str, data: TensorData| tensors.insert(format!("{prefix}:{name}"), data);
        for name in trained {
            if let Some(data) = all.get(&name) {
                add("parameter", &name, data.clone());
            }
        }
        add("state", "container", self.proxy_memory.to_data());
        for (name, data) in self.optimizer.to_tensors() {
            add("optimizer", &name, data);
        }
        for (name, data) in self.bank.iter().flat_map(PromptBank::to_tensors) {
            add("bank", &name, data);
        }
        for (name, data) in self.average.iter().flat_map(MovingAverage::to_tensors) {
            add("average", &name, data);
        }
        if let (Some(da_vpt), Some(sums)) = (&self.learner.da_vpt, &self.class_sums) {
            for (name, data) in da_vpt.to_tensors(sums) {
                add("prompt_spread", &name, data);
            }
        }
        let json = serde_json::to_string(progress).unwrap_or_default();
        write_safetensors(path, &tensors, BTreeMap::from([(PROGRESS_KEY.to_string(), json)]))?;
        if let Some(bank) = &mut self.bank {
            bank.checkpointed();
        }
        Ok(())
    }

    /// Puts the checkpoint at `path` into this freshly built state.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if the checkpoint does not belong to this model and data.
    pub fn restore(
        mut self,
        path: &Path,
        expected: &Progress,
        device: &Device,
    ) -> Result<(Self, Progress), TrainError> {
        let fail = |message: String| TrainError::RunFolder {
            path: path.to_path_buf(),
            message,
            hint: "the checkpoint belongs to another backbone, data set or version; choose another --out".into(),
        };
        let (tensors, metadata) = read_tensors(path)?;
        let progress: Progress = metadata
            .get(PROGRESS_KEY)
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or_else(|| fail("is not a checkpoint of kinsight".into()))?;
        if progress.backbone_fingerprint != expected.backbone_fingerprint {
            return Err(fail("was made with another backbone".into()));
        }
        if progress.data_fingerprint != expected.data_fingerprint {
            return Err(fail("was made with other training images".into()));
        }
        let section = |prefix: &str| -> TensorMap {
            let prefix = format!("{prefix}:");
            tensors.iter().filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.to_string(), v.clone()))).collect()
        };
        let mut put = Restore { values: section("parameter"), device, problems: Vec::new() };
        self.learner = map_by_name(self.learner, &mut put);
        if let Some(problem) = put.problems.first() {
            return Err(fail(problem.clone()));
        }
        let proxy_memory =
            section("state").remove("container").ok_or_else(|| fail("has no proxy memory (state:container)".into()))?;
        self.proxy_memory = Tensor::from_data(proxy_memory, device);
        self.optimizer = OptimizerState::from_tensors(&section("optimizer"), device);
        if let Some(bank) = &mut self.bank {
            bank.restore(&section("bank")).map_err(fail)?;
        }
        if let Some(average) = &mut self.average {
            average.restore(&section("average"), device).map_err(fail)?;
        }
        if let (Some(da_vpt), Some(sums)) = (&mut self.learner.da_vpt, &mut self.class_sums) {
            da_vpt.restore(sums, &section("prompt_spread")).map_err(fail)?;
        }
        Ok((self, progress))
    }

    /// The encoder that is measured and kept: the average where there is one, the newest values otherwise.
    pub fn encoder(&self) -> Encoder {
        let encoder = self.learner.encoder.clone();
        match &self.average {
            Some(average) => average.applied(encoder),
            None => encoder,
        }
    }
}

struct Restore<'a> {
    values: TensorMap,
    device: &'a Device,
    problems: Vec<String>,
}

impl MapByName for Restore<'_> {
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
        if !tensor.is_require_grad() {
            return tensor;
        }
        match self.values.get(name) {
            Some(data) if data.shape().to_vec() == tensor.dims() => {
                Tensor::from_data(data.clone(), self.device).autodiff().require_grad()
            }
            Some(data) => {
                let (found, expected) = (data.shape().to_vec(), tensor.dims());
                self.problems.push(format!("{name} has shape {found:?}, expected {expected:?}"));
                tensor
            }
            None => {
                self.problems.push(format!("has no tensor {name}"));
                tensor
            }
        }
    }
}
