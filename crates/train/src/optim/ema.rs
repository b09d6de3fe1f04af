//! Exponential moving average of trained parameters: smoother than the last step, at no cost in the search.
//!
//! ```text
//! d_t = min(decay, (1 + t) / (10 + t)),   shadow <- d_t shadow + (1 - d_t) value
//! ```
//! Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), in the exponential form of
//! TensorFlow's `ExponentialMovingAverage` with `num_updates`, whose early steps weigh more.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::parameters::{MapByName, VisitByName, map_by_name, visit_by_name};
use kinsight_model::weights::TensorMap;

/// The average of every parameter that trains.
#[derive(Clone, Debug)]
pub struct MovingAverage {
    decay: f64,
    shadow: BTreeMap<String, Tensor<1>>,
}

impl MovingAverage {
    /// An average that starts at `module`'s own values.
    pub fn new<M: Module>(decay: f64, module: &M) -> Self {
        let mut average = Self { decay, shadow: BTreeMap::new() };
        average.walk(module, 0.0);
        average
    }

    /// Takes in the values after step `step` (from 1).
    pub fn update<M: Module>(&mut self, module: &M, step: u64) {
        let t = step as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        self.walk(module, decay);
    }

    /// `module` with the averages in place of its values.
    #[must_use]
    pub fn applied<M: Module>(&self, module: M) -> M {
        map_by_name(module, &mut Apply(&self.shadow))
    }

    /// The averages by name, for a checkpoint.
    pub fn to_tensors(&self) -> TensorMap {
        self.shadow.iter().map(|(name, tensor)| (name.clone(), tensor.to_data())).collect()
    }

    /// Restores what [`Self::to_tensors`] gave.
    ///
    /// # Errors
    /// Names the average that is missing or does not fit.
    pub fn restore(&mut self, tensors: &TensorMap, device: &Device) -> Result<(), String> {
        for (name, shadow) in &mut self.shadow {
            let data: &TensorData = tensors.get(name).ok_or_else(|| format!("has no moving average of {name}"))?;
            if data.shape().to_vec() != shadow.dims() {
                return Err(format!("the moving average of {name} has another size"));
            }
            *shadow = Tensor::from_data(data.clone(), device);
        }
        Ok(())
    }

    fn walk<M: Module>(&mut self, module: &M, decay: f64) {
        visit_by_name(module, &mut Fold { shadow: &mut self.shadow, decay });
    }
}

struct Fold<'a> {
    shadow: &'a mut BTreeMap<String, Tensor<1>>,
    decay: f64,
}

impl VisitByName for Fold<'_> {
    fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) {
        if tensor.is_require_grad() {
            let count = tensor.dims().iter().product::<usize>();
            let value = tensor.without_autodiff().reshape([count]);
            let next = match self.shadow.remove(name) {
                Some(shadow) if self.decay > 0.0 => shadow * self.decay + value * (1.0 - self.decay),
                _ => value,
            };
            self.shadow.insert(name.to_string(), next);
        }
    }
}

struct Apply<'a>(&'a BTreeMap<String, Tensor<1>>);

impl MapByName for Apply<'_> {
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
        match self.0.get(name) {
            Some(shadow) => shadow.clone().reshape(tensor.dims()).autodiff().require_grad(),
            None => tensor,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Param, ParamId};

    use super::*;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<2>>,
    }

    fn one(value: f32) -> One {
        let data = TensorData::new(vec![value, -value], [1, 2]);
        let tensor = Tensor::from_data(data, &Device::flex()).autodiff().require_grad();
        One { weight: Param::initialized(ParamId::new(), tensor) }
    }

    fn values(module: &One) -> Vec<f32> {
        module.weight.val().to_data().iter::<f32>().collect()
    }

    #[test]
    fn worked_example() {
        let mut average = MovingAverage::new(0.9, &one(1.0));
        // d_1 = min(0.9, 2 / 11): 2/11 * 1 + 9/11 * 3.
        average.update(&one(3.0), 1);
        let expected = 2.0 / 11.0 + 27.0 / 11.0;
        let found = values(&average.applied(one(0.0)));
        assert!((found[0] - expected).abs() < 1e-6 && (found[1] + expected).abs() < 1e-6);
        // d_1000 = 0.9.
        average.update(&one(0.0), 1000);
        assert!((values(&average.applied(one(0.0)))[0] - 0.9 * expected).abs() < 1e-6);
        let mut restored = MovingAverage::new(0.9, &one(7.0));
        restored.restore(&average.to_tensors(), &Device::flex()).unwrap();
        assert_eq!(values(&restored.applied(one(0.0))), values(&average.applied(one(0.0))));
        assert!(restored.restore(&TensorMap::new(), &Device::flex()).is_err());
    }
}
