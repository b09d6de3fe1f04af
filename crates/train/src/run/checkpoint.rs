//! Checkpoints: everything a run needs to go on as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use kinsight_model::Encoder;
use kinsight_model::parameters::{MapByName, map_by_name, selected_tensors};
use kinsight_model::weights::{TensorMap, read_tensors, tensor_slices, write_tensor_slices};
use serde::{Deserialize, Serialize};

use super::not_json;
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
    /// Writes the state to `path`, without a second copy of a bank in memory.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the file cannot be written; the previous checkpoint is untouched then.
    pub fn save(&mut self, path: &Path, progress: &Progress) -> Result<(), TrainError> {
        if let Some(bank) = &self.bank {
            bank.flush()?;
        }
        let mut tensors = TensorMap::new();
        let mut add = |prefix: &str, more: TensorMap| {
            tensors.extend(more.into_iter().map(|(name, data)| (format!("{prefix}:{name}"), data)));
        };
        add("parameter", selected_tensors(&self.learner, |_, trains| trains));
        add("state", TensorMap::from([("container".to_string(), self.proxy_memory.to_data())]));
        add("optimizer", self.optimizer.to_tensors());
        if let Some(bank) = &self.bank {
            add("bank", bank.to_tensors());
        }
        if let Some(average) = &self.average {
            add("average", average.to_tensors());
        }
        if let (Some(da_vpt), Some(sums)) = (&self.learner.da_vpt, &self.class_sums) {
            add("prompt_spread", da_vpt.to_tensors(sums));
        }
        let mut slices = tensor_slices(path, &tensors)?;
        // Rows in memory may be most of it: they are written from where they are.
        slices.extend(
            self.bank.iter().flat_map(PromptBank::rows_in_memory).map(|(name, rows)| (format!("bank:{name}"), rows)),
        );
        let json = serde_json::to_string(progress).map_err(not_json(path))?;
        write_tensor_slices(path, &slices, &BTreeMap::from([(PROGRESS_KEY.to_string(), json)]))?;
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
        let json = metadata.get(PROGRESS_KEY).ok_or_else(|| fail("is not a checkpoint of kinsight".into()))?;
        let progress: Progress =
            serde_json::from_str(json).map_err(|error| fail(format!("has unreadable progress ({error})")))?;
        if progress.backbone_fingerprint != expected.backbone_fingerprint {
            return Err(fail("was made with another backbone".into()));
        }
        if progress.data_fingerprint != expected.data_fingerprint {
            return Err(fail("was made with other training images".into()));
        }
        let mut sections = BTreeMap::<String, TensorMap>::new();
        for (key, data) in tensors {
            let (section, name) =
                key.split_once(':').ok_or_else(|| fail(format!("has a tensor {key} of no section")))?;
            sections.entry(section.to_string()).or_default().insert(name.to_string(), data);
        }
        let mut section = |name: &str| sections.remove(name).unwrap_or_default();
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
            bank.restore(section("bank")).map_err(fail)?;
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
