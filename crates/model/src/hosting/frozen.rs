//! The frozen tensors of a backbone by name, given out by reference.

use std::any::Any;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

use crate::parameters::ParameterSource;

/// Tensors by name (as `blocks.0.attn.qkv.weight`). Taking one out shares its memory.
#[derive(Default)]
pub struct FrozenTensors(BTreeMap<String, Box<dyn Any + Send + Sync>>);

impl FrozenTensors {
    /// Every float tensor of `module`.
    pub fn of(module: &impl Module) -> Self {
        let mut collect = Collect { path: Vec::new(), tensors: BTreeMap::new() };
        module.visit(&mut collect);
        Self(collect.tensors)
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

struct Collect {
    path: Vec<String>,
    tensors: BTreeMap<String, Box<dyn Any + Send + Sync>>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        self.tensors.insert(self.path.join("."), Box::new(param.val()));
    }
}

/// Builds the bare encoder from frozen tensors alone.
pub(super) struct FrozenSource<'a> {
    frozen: &'a FrozenTensors,
    device: &'a Device,
}

impl<'a> FrozenSource<'a> {
    pub fn new(frozen: &'a FrozenTensors, device: &'a Device) -> Self {
        Self { frozen, device }
    }
}

impl ParameterSource for FrozenSource<'_> {
    fn values(&mut self, _: &str, shape: &[usize]) -> Vec<f32> {
        vec![0.0; shape.iter().product()]
    }

    fn device(&self) -> &Device {
        self.device
    }

    fn parameter<const R: usize>(&mut self, name: &str, shape: [usize; R]) -> Param<Tensor<R>> {
        let inner = name.strip_prefix("backbone.").unwrap_or(name);
        let tensor = self.frozen.get(inner, shape);
        // The same walk over the same architecture filled the map.
        debug_assert!(tensor.is_some(), "no frozen tensor {name}");
        Param::initialized(ParamId::new(), tensor.unwrap_or_else(|| Tensor::zeros(shape, self.device)))
    }
}
