//! Optimizers in PyTorch's update rules, over named parameters.
//!
//! The rules work on flat tensors with explicit state, so that the same code updates a whole parameter, or only the
//! rows of a prompt memory bank that a batch touched, and so that state is saved and restored by parameter name.

mod accumulate;
mod ema;
mod group;
mod rule;
mod schedule;

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::weights::TensorMap;

use crate::learner::Learner;

pub use accumulate::GradientSum;
pub use ema::MovingAverage;
pub use group::{Group, MapByGroup, map_by_group};
pub use rule::{OptimizerConfig, OptimizerKind, Slots};
pub use schedule::CosineSchedule;

/// Learning rates of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    /// Everything but the learned proxies.
    pub base: f64,
    /// The learned proxies.
    pub proxies: f64,
}

/// State of all trained parameters by name.
#[derive(Debug, Default)]
pub struct OptimizerState {
    slots: BTreeMap<String, Slots>,
}

impl OptimizerState {
    /// Updates every parameter of `learner` that has a gradient; parameters without one are left alone, as in PyTorch.
    pub fn step(
        &mut self,
        learner: Learner,
        gradients: &mut Gradients,
        config: &OptimizerConfig,
        rates: LearningRates,
    ) -> Learner {
        self.step_from(learner, Source::Batch(gradients), config, rates)
    }

    /// As [`Self::step`] with the mean gradient of several batches.
    pub fn step_summed(
        &mut self,
        learner: Learner,
        mut gradients: GradientSum,
        config: &OptimizerConfig,
        rates: LearningRates,
    ) -> Learner {
        self.step_from(learner, Source::Sum(&mut gradients), config, rates)
    }

    fn step_from(
        &mut self,
        learner: Learner,
        gradients: Source<'_>,
        config: &OptimizerConfig,
        rates: LearningRates,
    ) -> Learner {
        let blocks = learner.encoder.backbone.blocks.len();
        map_by_group(learner, &mut Step { state: self, gradients, config, rates, blocks })
    }

    /// The state as named tensors, for a checkpoint.
    pub fn to_tensors(&self) -> TensorMap {
        self.slots.iter().flat_map(|(name, slots)| slots.to_tensors(name)).collect()
    }

    /// Restores what [`Self::to_tensors`] gave.
    pub fn from_tensors(tensors: &TensorMap, device: &Device) -> Self {
        let mut slots: BTreeMap<String, Slots> = BTreeMap::new();
        for (key, data) in tensors {
            if let Some((name, slot)) = key.rsplit_once('/') {
                slots.entry(name.to_string()).or_default().restore(slot, data, device);
            }
        }
        Self { slots }
    }
}

/// Where gradients come from.
enum Source<'a> {
    Batch(&'a mut Gradients),
    Sum(&'a mut GradientSum),
}

struct Step<'a> {
    state: &'a mut OptimizerState,
    gradients: Source<'a>,
    config: &'a OptimizerConfig,
    rates: LearningRates,
    blocks: usize,
}

impl MapByGroup for Step<'_> {
    fn map<const R: usize>(&mut self, name: &str, group: Group, tensor: Tensor<R>) -> Tensor<R> {
        if !tensor.is_require_grad() {
            return tensor;
        }
        let shape = tensor.dims();
        let count = shape.iter().product::<usize>();
        let gradient = match &mut self.gradients {
            Source::Batch(gradients) => tensor.grad_remove(gradients).map(|gradient| gradient.reshape([count])),
            Source::Sum(sum) => sum.take(name),
        };
        let Some(gradient) = gradient else { return tensor };
        let rate = group.rate(self.rates, self.config.layer_decay, self.blocks);
        let slots = self.state.slots.entry(name.to_string()).or_default();
        let updated = slots.update(tensor.without_autodiff().reshape([count]), gradient, rate, self.config);
        updated.reshape(shape).autodiff().require_grad()
    }
}

/// A flat tensor from values.
pub(crate) fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
