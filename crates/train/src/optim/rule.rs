//! One parameter's update: SGD with momentum, Adam, AdamW, equal to `torch.optim`'s.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{CosineSchedule, LearningRates};
use crate::error::TrainError;

/// Which optimizer, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// `torch.optim.SGD`
    Sgd,
    /// `torch.optim.Adam`
    Adam,
    /// `torch.optim.AdamW`
    #[default]
    AdamW,
}

settings! {
    /// Options shared by all parameters.
    ///
    /// Defaults: AdamW at the authors' rates for Cars and the published ViTs; betas and eps are PyTorch's.
    OptimizerConfig {
        /// Which one.
        kind: OptimizerKind = OptimizerKind::AdamW,
        /// Learning rate of everything but the learned proxies.
        lr: f64 = 5e-4,
        /// Learning rate of the learned proxies.
        lr_proxies: f64 = 1e-2,
        /// Weight decay: added to the gradient (SGD, Adam) or applied to the value (AdamW).
        weight_decay: f64 = 1e-4,
        /// Momentum of SGD.
        momentum: f64 = 0.9,
        /// Decay of Adam's first moment.
        beta1: f64 = 0.9,
        /// Decay of Adam's second moment.
        beta2: f64 = 0.999,
        /// Added to Adam's denominator.
        eps: f64 = 1e-8,
        /// Factor of the learning rate from each block to the one before it; 1 for the same rate everywhere.
        layer_decay: f64 = 1.0,
        /// Epochs from the full rate to the floor; `None` takes the number of epochs.
        cosine_length: Option<usize> = None,
        /// Floor of the cosine schedule.
        cosine_min: f64 = 1e-8,
        /// Steps over which the rates rise linearly from zero; the authors use none.
        warmup_steps: u64 = 0,
        /// Batches whose gradients are averaged before an update; the authors use one.
        accumulate: usize = 1,
        /// Decay of the moving average of trained parameters, which then is what is measured and kept; 0 for none, as the
        /// authors.
        ema_decay: f64 = 0.0,
    }
}

impl OptimizerConfig {
    /// # Errors
    /// [`TrainError::Config`] names the setting that is out of range.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let fail = |message: String, hint: &str| Err(TrainError::config(message, hint));
        for (name, rate) in [("optimizer.lr", self.lr), ("optimizer.lr_proxies", self.lr_proxies)] {
            if !(rate.is_finite() && rate >= 0.0) {
                return fail(
                    format!("{name} is {rate}, expected a number of at least 0"),
                    "leave it out for the default",
                );
            }
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            let message = format!("optimizer.layer_decay is {}, expected above 0 to 1", self.layer_decay);
            return fail(message, "0.65 to 0.85 is usual for a ViT");
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return fail("optimizer.ema_decay is outside 0 to below 1".into(), "0.99 to 0.999 is usual; 0 is none");
        }
        if self.accumulate == 0 {
            return fail("optimizer.accumulate is 0".into(), "1 updates after each batch");
        }
        Ok(())
    }

    /// Numbers of state for each trained one.
    pub fn moments(&self) -> usize {
        match self.kind {
            OptimizerKind::Sgd => 1,
            OptimizerKind::Adam | OptimizerKind::AdamW => 2,
        }
    }

    /// The rates of the step after `step` others, in `epoch` of `epochs`.
    pub fn rates(&self, step: u64, epoch: usize, epochs: usize) -> LearningRates {
        let schedule = CosineSchedule { length: self.cosine_length.unwrap_or(epochs), floor: self.cosine_min };
        let risen = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        LearningRates {
            base: risen * schedule.rate(self.lr, epoch),
            proxies: risen * schedule.rate(self.lr_proxies, epoch),
        }
    }
}

/// Optimizer state of one parameter.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Updates so far.
    pub step: u64,
    /// Momentum buffer, or first moment.
    pub first: Option<Tensor<1>>,
    /// Second moment.
    pub second: Option<Tensor<1>>,
}

impl Slots {
    /// The value after one step; all tensors are flat and outside autodiff.
    pub fn update(&mut self, value: Tensor<1>, gradient: Tensor<1>, rate: f64, config: &OptimizerConfig) -> Tensor<1> {
        self.step += 1;
        let decayed = |gradient: Tensor<1>, value: &Tensor<1>| match config.weight_decay {
            0.0 => gradient,
            decay => gradient + value.clone() * decay,
        };
        match config.kind {
            OptimizerKind::Sgd => {
                let gradient = decayed(gradient, &value);
                let momentum = match self.first.take() {
                    None => gradient,
                    Some(buffer) => buffer * config.momentum + gradient,
                };
                self.first = Some(momentum.clone());
                value - momentum * rate
            }
            OptimizerKind::Adam => {
                let gradient = decayed(gradient, &value);
                value - self.adam_direction(gradient, rate, config)
            }
            OptimizerKind::AdamW => {
                let shrunk = value * (1.0 - rate * config.weight_decay);
                shrunk - self.adam_direction(gradient, rate, config)
            }
        }
    }

    fn adam_direction(&mut self, gradient: Tensor<1>, rate: f64, config: &OptimizerConfig) -> Tensor<1> {
        let OptimizerConfig { beta1, beta2, eps, .. } = *config;
        let fresh1 = gradient.clone() * (1.0 - beta1);
        let fresh2 = gradient.square() * (1.0 - beta2);
        let first = self.first.take().map_or(fresh1.clone(), |m| m * beta1 + fresh1);
        let second = self.second.take().map_or(fresh2.clone(), |v| v * beta2 + fresh2);
        self.first = Some(first.clone());
        self.second = Some(second.clone());
        let correction1 = 1.0 - beta1.powi(self.step as i32);
        let correction2 = 1.0 - beta2.powi(self.step as i32);
        let denominator = second.sqrt() / correction2.sqrt() + eps;
        first / denominator * (rate / correction1)
    }

    /// The state under `name/step`, `name/first`, `name/second`.
    pub(super) fn to_tensors(&self, name: &str) -> Vec<(String, TensorData)> {
        // Steps are stored as two exact f32 halves, since checkpoints hold f32 alone.
        let halves = vec![(self.step >> 20) as f32, (self.step & 0xf_ffff) as f32];
        let mut tensors = vec![(format!("{name}/step"), TensorData::new(halves, [2]))];
        let moments = [("first", &self.first), ("second", &self.second)];
        tensors.extend(
            moments.into_iter().filter_map(|(slot, t)| Some((format!("{name}/{slot}"), t.as_ref()?.to_data()))),
        );
        tensors
    }

    pub(super) fn restore(&mut self, slot: &str, data: &TensorData, device: &Device) {
        let tensor = || Some(Tensor::from_data(data.clone(), device));
        match (slot, data.as_slice::<f32>()) {
            ("step", Ok([high, low])) => self.step = ((*high as u64) << 20) | *low as u64,
            ("first", _) => self.first = tensor(),
            ("second", _) => self.second = tensor(),
            _ => {}
        }
    }
}
