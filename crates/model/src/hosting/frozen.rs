//! The frozen tensors of a backbone by name, given out by reference.

use std::any::Any;
use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::parameters::{VisitByName, visit_by_name};

/// Tensors by name (as `blocks.0.attn.qkv.weight`). Taking one out shares its memory.
#[derive(Default)]
pub struct FrozenTensors(BTreeMap<String, Box<dyn Any + Send + Sync>>);

impl FrozenTensors {
    /// Every float tensor of `module`.
    pub fn of(module: &impl Module) -> Self {
        let mut frozen = Self::default();
        visit_by_name(module, &mut frozen);
        frozen
    }

    /// The tensor `name`, if it is there with this shape.
    pub fn get<const R: usize>(&self, name: &str, shape: [usize; R]) -> Option<Tensor<R>> {
        self.0.get(name)?.downcast_ref::<Tensor<R>>().filter(|tensor| tensor.dims() == shape).cloned()
    }
}

impl std::fmt::Debug for FrozenTensors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl VisitByName for FrozenTensors {
    fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) {
        self.0.insert(name.to_string(), Box::new(tensor));
    }
}
