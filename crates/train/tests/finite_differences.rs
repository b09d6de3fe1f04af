//! The gradient of every method, proxy source and accumulator against central differences of the loss, on a tiny model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::parameters::{MapByName, ParameterSource, map_by_name, normal_values};
use kinsight_model::{Pooling, VitConfig};
use kinsight_train::TrainConfig;
use kinsight_train::config::{Overrides, parse_assignment};
use kinsight_train::da_vpt::DaVpt;
use kinsight_train::init::initial_proxy_memory;
use kinsight_train::learner::{Learner, TrainBatch};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const CLASSES: usize = 4;
/// Length of the step in the direction that is checked: short, since ReLUs turn and products bend within a longer one.
const STEP: f64 = 1e-3;

/// Values of unit effect everywhere, so that nothing hides behind a zero.
struct Noise {
    rng: ChaCha8Rng,
    device: Device,
}

impl ParameterSource for Noise {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let inputs = if shape.len() > 1 { shape[1..].iter().product::<usize>().max(6) } else { 6 };
        let mut values = normal_values(&mut self.rng, shape.iter().product(), (inputs as f64).powf(-0.5));
        if name.contains("norm") && name.ends_with("weight") || name.ends_with(".ssf.scale") {
            values.iter_mut().for_each(|v| *v = 1.0 + 0.2 * *v);
        }
        values
    }
    fn device(&self) -> &Device {
        &self.device
    }
}

struct Case {
    learner: Learner,
    settings: TrainConfig,
    images: Vec<f32>,
    proxy_memory: Tensor<2>,
}

impl Case {
    fn new(method: &str, assignments: &[&str]) -> Self {
        let vit = VitConfig::new(16, 8, 12, 2, 2);
        let mut overrides = Overrides::default();
        overrides.set("method", method);
        let shared = ["loss.kind=normalized-softmax", "loss.normalized_softmax.temperature=0.5"];
        let prompts = ["tuning.prompts.count=3", "tuning.prompts.depth=2", "proxies.class_prompts.count=2"];
        let prompts = if method.contains("vpt") { &prompts[..] } else { &[] };
        for text in shared.iter().chain(prompts).chain(assignments) {
            overrides.assignments.push(parse_assignment(text).unwrap());
        }
        let settings = overrides.load().unwrap().resolve(&vit, Pooling::Class).unwrap();
        let device = Device::flex();
        let mut source = Noise { rng: ChaCha8Rng::seed_from_u64(21), device: device.clone() };
        let learner =
            Learner::from_source(&mut source, &vit, &settings.tuning, &settings.proxies, &settings.loss, CLASSES);
        let mut learner = learner.with_trainable(&settings.tuning);
        if settings.da_vpt.weight > 0.0 {
            learner.da_vpt = Some(DaVpt::new(&settings.da_vpt, CLASSES, 3));
        }
        let images = normal_values(&mut source.rng, 4 * 3 * 16 * 16, 1.0);
        let proxy_memory = initial_proxy_memory(&mut source.rng, CLASSES, settings.tuning.embedding.unwrap(), &device);
        Self { learner, settings, images, proxy_memory }
    }

    fn loss(&self, learner: &Learner) -> Tensor<1> {
        let images = TensorData::new(self.images.clone(), [4, 3, 16, 16]);
        let images = Tensor::from_data(images, &Device::flex());
        let batch = TrainBatch { images, labels: vec![2, 2, 0, 0], banked_prompts: None };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        learner.forward(batch, &self.proxy_memory, &self.settings.proxies, &self.settings.loss, &mut rng).loss
    }

    /// Each trained parameter along its gradient and, at once, a random direction: the first alone would not see a part of
    /// the gradient that is missing.
    fn check(&self, name: &str) {
        let gradients = self.loss(&self.learner).backward();
        let mut collect = Collect(&gradients, BTreeMap::new());
        map_by_name(self.learner.clone(), &mut collect);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        assert!(!collect.1.is_empty(), "{name}: nothing trains");
        for (parameter, gradient) in &collect.1 {
            let length = norm(gradient);
            let random = normal_values(&mut rng, gradient.len(), 1.0);
            let random_length = norm(&random);
            let direction: Vec<f32> = gradient
                .iter()
                .zip(&random)
                .map(|(g, r)| (f64::from(*g) / length.max(1e-12) + f64::from(*r) / random_length) as f32)
                .collect();
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let moved = |by: f64| {
                let learner = map_by_name(self.learner.clone(), &mut Move { parameter, direction: &direction, by });
                self.loss(&learner).into_scalar::<f64>()
            };
            let found = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            // The rounding of an f32 loss, divided by the step, is the absolute part.
            let tolerance = 0.02 * expected.abs() + 1.5e-3;
            assert!((found - expected).abs() < tolerance, "{name}: {parameter}: {found:.6} expected {expected:.6}");
        }
    }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

struct Collect<'a>(&'a burn::tensor::Gradients, BTreeMap<String, Vec<f32>>);

impl MapByName for Collect<'_> {
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
        if tensor.is_require_grad() {
            let gradient = tensor.grad(self.0).unwrap_or_else(|| panic!("no gradient reaches {name}"));
            self.1.insert(name.to_string(), gradient.into_data().try_to_vec::<f32>().unwrap());
        }
        tensor
    }
}

struct Move<'a> {
    parameter: &'a str,
    direction: &'a [f32],
    by: f64,
}

impl MapByName for Move<'_> {
    fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
        if name != self.parameter {
            return tensor;
        }
        let direction = TensorData::new(self.direction.to_vec(), tensor.dims());
        let direction = Tensor::<R>::from_data(direction, &Device::flex());
        (tensor.without_autodiff() + direction * self.by).autodiff().require_grad()
    }
}

#[test]
fn gradients_of_every_method() {
    let cases: &[(&str, &[&str])] = &[
        ("linear", &[]),
        ("bitfit", &[]),
        ("bitfit", &["tuning.bitfit_parts=[\"v\",\"norm\"]"]),
        ("layer-norm", &[]),
        ("adapter", &["tuning.adapter.bottleneck=3"]),
        ("lora", &["tuning.lora.rank=2", "tuning.lora.targets=[\"qkv\",\"proj\",\"mlp\"]"]),
        ("dora", &["tuning.lora.rank=2"]),
        ("ssf", &[]),
        ("vpt-shallow", &[]),
        ("vpt-shallow", &["tuning.pooling=avg"]),
        ("vpt-deep", &[]),
        ("vpt-decreasing", &["tuning.prompts.step=1"]),
        ("da-vpt", &["da_vpt.blocks=2", "da_vpt.alpha=2.0"]),
        ("last-blocks", &["tuning.last_blocks=1"]),
        ("full", &[]),
        ("vpt+lora+ssf+bitfit", &["tuning.lora.rank=2"]),
        ("lora", &["tuning.lora.rank=2", "compute.engine=composed"]),
        ("ssf", &["compute.engine=composed"]),
    ];
    for (method, settings) in cases {
        Case::new(method, settings).check(&format!("{method} {settings:?}"));
    }
}

#[test]
fn gradients_of_every_accumulator_and_proxy_source() {
    for kind in ["none", "ema", "gru", "gru_relu", "rnn", "lstm", "cross-attention"] {
        let kind = format!("proxies.accumulator.kind={kind}");
        Case::new("vptsp-g", &[&kind]).check(&kind);
    }
    for source in ["simple", "same-encoder", "fixed-encoder", "class-prompts"] {
        let source = format!("proxies.source={source}");
        // With the smooth gate: a ReLU that stands at its turning point has no derivative to compare with.
        Case::new("vptsp-g", &[&source, "proxies.accumulator.kind=gru"]).check(&source);
    }
    let paper = ["variant=paper", "proxies.accumulator.kind=ema"];
    Case::new("vptsp-m", &paper).check("paper, ema");
    Case::new("vptsp-g", &["variant=paper", "proxies.normalize_learned=true"]).check("paper, gru");
}
