//! One step of training: both towers, the loss, the gradients, the optimizer.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::parameters::{MapByName, ParameterSource, map_by_name};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::weights::{TensorMap, read_tensors, write_safetensors};
use kinsight_model::{Backbone, Tuning};
use kinsight_train::learner::{Learner, StepOutput, TrainBatch};
use kinsight_train::loss::LossConfig;
use kinsight_train::optim::{LearningRates, OptimizerConfig, OptimizerState};
use kinsight_train::proxies::{ProxyConfig, ProxySource};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::embed::{compute, tensor};
use crate::{Arguments, Outcome, Work};

/// Small, so that hundreds of steps on random weights stay finite; the time of a step does not depend on it.
const RATES: LearningRates = LearningRates { base: 1e-6, proxies: 1e-6 };

/// A learner with its optimizer and one batch that comes again and again.
pub struct Train {
    learner: Option<Learner>,
    proxy_memory: Tensor<2>,
    state: OptimizerState,
    proxies: ProxyConfig,
    images: TensorData,
    labels: Vec<usize>,
    device: Device,
}

impl Train {
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        let device = Device::flex();
        let backbone = Backbone::open(&arguments.place(0)?.to_string_lossy(), None)?;
        let mut start = read_tensors(arguments.place(1)?)?.0;
        let proxy_memory = Tensor::from_data(tensor(&mut start, "container")?, &device);
        let [classes, embedding] = proxy_memory.dims();
        let tuning = Tuning {
            bitfit: true,
            prompts: Some(PromptSchedule { count: 10, depth: 12, step: 0 }),
            embedding: Some(embedding),
            ..Tuning::default()
        };
        let mut proxies = ProxyConfig::default();
        if arguments.setting("method") == Some("vptsp-g") {
            proxies.source = ProxySource::Semantic;
        }
        let mut weights = backbone.source(&device);
        let mut source = Start { backbone: &mut weights, tensors: start, missing: Vec::new() };
        let mut learner =
            Learner::from_source(&mut source, &backbone.config, &tuning, &proxies, &LossConfig::default(), classes);
        if !source.missing.is_empty() {
            return Err(format!("the start lacks {}", source.missing.join(", ")).into());
        }
        weights.finish()?;
        learner.encoder.backbone.compute = compute(arguments);
        let mut inputs = read_tensors(arguments.place(2)?)?.0;
        let labels = tensor(&mut inputs, "labels")?.iter::<f32>().map(|label| label as usize).collect();
        Ok(Self {
            learner: Some(learner.with_trainable(&tuning)),
            proxy_memory,
            state: OptimizerState::default(),
            proxies,
            images: tensor(&mut inputs, "images")?,
            labels,
            device,
        })
    }

    fn forward(&self) -> Outcome<(StepOutput, Gradients)> {
        let images = Tensor::<4>::from_data(self.images.clone(), &self.device);
        let batch = TrainBatch { images, labels: self.labels.clone(), banked_prompts: None };
        let mut dropout = ChaCha8Rng::seed_from_u64(0);
        let learner = self.learner.as_ref().ok_or("the learner was lost in a failed step")?;
        let output = learner.forward(batch, &self.proxy_memory, &self.proxies, &LossConfig::default(), &mut dropout);
        let gradients = output.loss.backward();
        Ok((output, gradients))
    }
}

impl Work for Train {
    fn step(&mut self) -> Outcome {
        let (output, mut gradients) = self.forward()?;
        let loss = output.loss.into_scalar::<f64>();
        if !loss.is_finite() {
            return Err(format!("the loss is {loss}").into());
        }
        let learner = self.learner.take().ok_or("the learner was lost in a failed step")?;
        self.learner = Some(self.state.step(learner, &mut gradients, &OptimizerConfig::default(), RATES));
        if let Some(proxy_memory) = output.proxy_memory {
            self.proxy_memory = proxy_memory;
        }
        Ok(())
    }

    fn dump(&mut self, path: &Path) -> Outcome {
        let (output, gradients) = self.forward()?;
        let mut tensors = TensorMap::from([
            ("loss".to_string(), output.loss.into_data()),
            ("embeddings".to_string(), output.embeddings.into_data()),
        ]);
        let learner = self.learner.clone().ok_or("the learner was lost in a failed step")?;
        map_by_name(learner, &mut Collect { gradients: &gradients, found: &mut tensors });
        Ok(write_safetensors(path, &tensors, BTreeMap::new())?)
    }
}

/// The backbone from its own file, everything else from the tensors that PyTorch starts from too.
struct Start<'a, S> {
    backbone: &'a mut S,
    tensors: TensorMap,
    missing: Vec<String>,
}

impl<S: ParameterSource> ParameterSource for Start<'_, S> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        if let Some(inner) = name.strip_prefix("encoder.backbone.") {
            return self.backbone.values(inner, shape);
        }
        let count = shape.iter().product();
        match self.tensors.remove(name) {
            Some(data) if data.shape().to_vec() == shape => data.iter::<f32>().collect(),
            _ => {
                self.missing.push(format!("{name} {shape:?}"));
                vec![0.0; count]
            }
        }
    }

    fn device(&self) -> &Device {
        self.backbone.device()
    }
}

/// Every gradient by its parameter's name.
struct Collect<'a> {
    gradients: &'a Gradients,
    found: &'a mut TensorMap,
}

impl MapByName for Collect<'_> {
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
        if let Some(gradient) = tensor.grad(self.gradients) {
            self.found.insert(format!("grad.{name}"), gradient.into_data());
        }
        tensor
    }
}
