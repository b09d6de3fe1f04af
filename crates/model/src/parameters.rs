//! Parameters by name: where they come from, which of them train, and how to read them all.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Gives a model its parameters while it is being built, one call a parameter, by the name the parameter has in files.
///
/// Reading a checkpoint and drawing random values are the same walk over the model, so a model is written down once.
pub trait ParameterSource {
    /// The values of `name`, row-major.
    ///
    /// A source that cannot provide them returns any values of that size and reports the problem when it is finished.
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32>;

    /// The device the parameters are put on.
    fn device(&self) -> &Device;

    /// The parameter `name`; it does not require a gradient.
    fn parameter<const R: usize>(&mut self, name: &str, shape: [usize; R]) -> Param<Tensor<R>> {
        let values = self.values(name, &shape);
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device());
        Param::initialized(ParamId::new(), tensor)
    }
}

/// Draws starting values as timm does for a ViT trained from scratch: truncated normal with standard deviation 0.02
/// for weights, tokens and positions, zero biases, unit norms.
pub struct RandomInit<'a> {
    rng: &'a mut ChaCha8Rng,
    device: Device,
}

impl<'a> RandomInit<'a> {
    /// Values from `rng`, tensors on `device`.
    pub fn new(rng: &'a mut ChaCha8Rng, device: &Device) -> Self {
        Self { rng, device: device.clone() }
    }
}

impl ParameterSource for RandomInit<'_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let is_scale = name.ends_with(".weight") && shape.len() == 1;
        if is_scale || name.ends_with(".gamma") {
            vec![1.0; count]
        } else if name.ends_with(".bias") {
            vec![0.0; count]
        } else {
            normal_values(self.rng, count, 0.02).into_iter().map(|v| v.clamp(-0.04, 0.04)).collect()
        }
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// `count` normal values with mean 0 and standard deviation `std` (Box-Muller).
pub fn normal_values(rng: &mut ChaCha8Rng, count: usize, std: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * std;
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(count);
    values
}

/// `count` values uniform in `[-bound, bound)`.
pub fn uniform_values(rng: &mut ChaCha8Rng, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect()
}

/// Xavier-uniform values of an `[rows, columns]` matrix: bound `sqrt(6 / (rows + columns))` (Glorot and Bengio, 2010).
pub fn xavier_uniform(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Vec<f32> {
    uniform_values(rng, rows * columns, (6.0 / (rows + columns) as f64).sqrt())
}

/// The values of a tensor, row-major; without a copy where the tensor is the only one that holds them.
pub fn to_vec<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    #[expect(clippy::expect_used, reason = "only a device that is gone has no values to give")]
    tensor.into_data().try_into_vec_as().expect("the values of a float tensor")
}

/// Something that reads parameters by name.
pub trait VisitByName {
    /// Takes the tensor of parameter `name`.
    fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>);
}

/// Shows `visitor` every float parameter of `module`, in the order of the module tree.
pub fn visit_by_name(module: &impl Module, visitor: &mut impl VisitByName) {
    struct Walk<'a, F>(Path, &'a mut F);
    impl<F: VisitByName> ModuleVisitor for Walk<'_, F> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
            self.1.visit(&self.0.name(), param.val());
        }
    }
    module.visit(&mut Walk(Path::default(), visitor));
}

/// Every float parameter of `module` by its path, as `backbone.blocks.0.norm1.bias`.
pub fn named_tensors(module: &impl Module) -> BTreeMap<String, TensorData> {
    selected_tensors(module, |_, _| true)
}

/// The parameters that `select` takes by name and by whether they train; the values of no others are copied.
pub fn selected_tensors(module: &impl Module, select: impl Fn(&str, bool) -> bool) -> BTreeMap<String, TensorData> {
    struct Collect<F>(BTreeMap<String, TensorData>, F);
    impl<F: Fn(&str, bool) -> bool> VisitByName for Collect<F> {
        fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) {
            if (self.1)(name, tensor.is_require_grad()) {
                self.0.insert(name.to_string(), tensor.into_data());
            }
        }
    }
    let mut found = Collect(BTreeMap::new(), select);
    visit_by_name(module, &mut found);
    found.0
}

/// The shapes of all parameters and whether they train, in the order of the module tree.
pub fn inventory(module: &impl Module) -> Vec<ParameterInfo> {
    struct Collect(Vec<ParameterInfo>);
    impl VisitByName for Collect {
        fn visit<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) {
            let (shape, trains) = (tensor.dims().to_vec(), tensor.is_require_grad());
            self.0.push(ParameterInfo { name: name.to_string(), shape, trains });
        }
    }
    let mut found = Collect(Vec::new());
    visit_by_name(module, &mut found);
    found.0
}

/// One line of [`inventory`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Path in the module tree.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Whether a gradient is kept for it.
    pub trains: bool,
}

impl ParameterInfo {
    /// Number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A rewrite of parameters by name; the walk of an optimizer, of freezing, of loading.
pub trait MapByName {
    /// The new tensor of parameter `name`.
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R>;
}

/// Applies `mapper` to every float parameter of `module`.
pub fn map_by_name<M: Module>(module: M, mapper: &mut impl MapByName) -> M {
    map_in(Path::default(), module, mapper)
}

/// The same for a part of a larger module, in which it is called `name`.
pub fn map_below<M: Module>(name: &str, module: M, mapper: &mut impl MapByName) -> M {
    map_in(Path(vec![name.to_string()]), module, mapper)
}

fn map_in<M: Module>(path: Path, module: M, mapper: &mut impl MapByName) -> M {
    struct Walk<'a, F>(Path, &'a mut F);
    impl<F: MapByName> ModuleMapper for Walk<'_, F> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
            let name = self.0.name();
            Param::initialized(param.id, self.1.map(&name, param.val()))
        }
    }
    module.map(&mut Walk(path, mapper))
}

/// Makes exactly the parameters that `trains` accepts require gradients, and takes all others out of autodiff.
pub fn set_trainable<M: Module>(module: M, trains: impl Fn(&str) -> bool) -> M {
    struct Select<F>(F);
    impl<F: Fn(&str) -> bool> MapByName for Select<F> {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            let frozen = tensor.without_autodiff();
            if (self.0)(name) { frozen.autodiff().require_grad() } else { frozen }
        }
    }
    map_by_name(module, &mut Select(trains))
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_string());
    }
    fn exit(&mut self) {
        self.0.pop();
    }
    fn name(&self) -> String {
        self.0.join(".")
    }
}
