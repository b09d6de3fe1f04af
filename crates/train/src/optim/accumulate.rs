//! Gradients of several batches, summed before one update: a large batch on a small machine.
//!
//! Differs from one large batch where a loss looks at the whole batch: each part's loss sees its own images alone.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};
use kinsight_model::parameters::{VisitByName, visit_by_name};

/// Sum of gradients by parameter.
#[derive(Debug, Default)]
pub struct GradientSum {
    flat: BTreeMap<String, Tensor<1>>,
    batches: usize,
}

impl GradientSum {
    /// Adds the gradients of one batch.
    pub fn add<M: Module>(&mut self, module: &M, gradients: &mut Gradients) {
        visit_by_name(module, &mut Collect { sum: &mut self.flat, gradients });
        self.batches += 1;
    }

    /// Batches summed so far.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// The mean gradient of a parameter, flat; `None` if no batch reached it.
    pub(super) fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        let sum = self.flat.remove(name)?;
        Some(if self.batches > 1 { sum / self.batches as f64 } else { sum })
    }
}

struct Collect<'a> {
    sum: &'a mut BTreeMap<String, Tensor<1>>,
    gradients: &'a mut Gradients,
}

impl VisitByName for Collect<'_> {
    fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) {
        if tensor.is_require_grad()
            && let Some(gradient) = tensor.grad_remove(self.gradients)
        {
            let flat = gradient.reshape([tensor.dims().iter().product::<usize>()]);
            let sum = match self.sum.remove(name) {
                Some(sum) => sum + flat,
                None => flat,
            };
            self.sum.insert(name.to_string(), sum);
        }
    }
}
