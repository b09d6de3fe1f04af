//! For each method: exactly the declared parameters train, all others stay bit-identical, each trained one is reached.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::parameters::{RandomInit, inventory, named_tensors, normal_values};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::{Compute, Engine, Pooling, Tuning, VitConfig};
use kinsight_train::config::{Overrides, parse_assignment};
use kinsight_train::da_vpt::DaVpt;
use kinsight_train::init::{FreshLearner, initial_proxy_memory};
use kinsight_train::learner::{Learner, TrainBatch};
use kinsight_train::loss::LossConfig;
use kinsight_train::optim::{
    Group, LearningRates, MapByGroup, OptimizerConfig, OptimizerKind, OptimizerState, map_by_group,
};
use kinsight_train::proxies::{ProxyConfig, ProxySource};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const CLASSES: usize = 5;

/// What of the backbone a method may train, besides prompts, head and proxies.
type Declared = fn(&str) -> bool;

const METHODS: &[(&str, &[&str], Declared)] = &[
    ("linear", &[], |_| false),
    ("bitfit", &[], |name| name.contains("bias")),
    ("adapter", &[], |name| name.contains(".adapter.")),
    ("adapter", &["tuning.adapter.placement=sequential", "tuning.adapter.norm=post"], |n| n.contains(".adapter.")),
    ("adapter+bitfit", &["tuning.adapter.blocks=1"], |n| n.contains(".adapter.") || n.contains("bias")),
    ("vpt", &[], |_| false),
    ("vpt", &["tuning.prompts.step=1"], |_| false),
    ("vpt+bitfit", &[], |name| name.contains("bias")),
    ("vptsp-m", &[], |_| false),
    ("vptsp-g", &["proxies.accumulator.kind=gru"], |_| false),
    ("vptsp-g+bitfit", &[], |name| name.contains("bias")),
    ("full", &[], |_| true),
    ("full-layer-decay", &[], |_| true),
    ("last-blocks", &["tuning.last_blocks=1"], |name| name.starts_with("blocks.2.") || name.starts_with("norm.")),
    ("layer-norm", &[], |name| name.contains("norm")),
    ("bitfit", &["tuning.bitfit_parts=[\"q\",\"mlp\",\"patch\"]"], |name| {
        name.contains(".bias_offset.")
            || name.contains("mlp") && name.contains("bias")
            || name == "patch_embed.proj.bias"
    }),
    ("lora", &["tuning.lora.targets=[\"qkv\",\"proj\",\"mlp\"]"], |name| name.contains(".lora.")),
    ("lora", &["tuning.lora.dropout=0.2"], |name| name.contains(".lora.")),
    ("dora+bitfit", &[], |name| name.contains(".lora.") || name.contains("bias")),
    ("ssf", &[], |name| name.contains(".ssf.")),
    ("vpt-shallow", &[], |_| false),
    ("vpt-shallow", &["tuning.pooling=avg", "proxies.source=same-encoder"], |_| false),
    ("vpt-decreasing", &["tuning.prompts.step=1"], |_| false),
    ("da-vpt", &[], |_| false),
    ("vpt+lora+ssf+layer-norm", &[], |n| n.contains(".lora.") || n.contains(".ssf.") || n.contains("norm")),
    ("vpt", &["proxies.source=samples"], |_| false),
    ("vpt+bitfit", &["proxies.source=fixed-encoder"], |name| name.contains("bias")),
    ("vptsp-g", &["proxies.accumulator.kind=rnn"], |_| false),
    ("vptsp-g", &["proxies.accumulator.kind=lstm"], |_| false),
    ("vptsp-g", &["proxies.accumulator.kind=cross-attention"], |_| false),
    ("vptsp-g", &["proxies.accumulator.kind=none", "proxies.normalize_learned=true"], |_| false),
    ("vptsp-g", &["variant=paper"], |_| false),
];

#[test]
fn exactly_the_declared_parameters_train_fused() {
    METHODS.iter().for_each(|method| check(method, Engine::Fused));
}

#[test]
fn exactly_the_declared_parameters_train_composed() {
    METHODS.iter().for_each(|method| check(method, Engine::Composed));
}

fn check((method, settings, declared): &(&str, &[&str], Declared), engine: Engine) {
    let config = VitConfig::new(16, 8, 12, 3, 2);
    let mut overrides = Overrides::default();
    overrides.set("method", *method);
    let small = ["tuning.prompts.count=4", "tuning.prompts.depth=3", "proxies.class_prompts.depth=2"];
    let small = if method.contains("vpt") { &small[..] } else { &[] };
    for setting in small.iter().chain(*settings) {
        overrides.assignments.push(parse_assignment(setting).unwrap());
    }
    let settings = overrides.load().unwrap().resolve(&config, Pooling::Class).unwrap();

    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut backbone_rng = ChaCha8Rng::seed_from_u64(4);
    let mut backbone = RandomInit::new(&mut backbone_rng, &device);
    let mut source = FreshLearner::new(&mut backbone, &settings.tuning, &mut rng);
    let mut learner =
        Learner::from_source(&mut source, &config, &settings.tuning, &settings.proxies, &settings.loss, CLASSES);
    learner.encoder.backbone.compute = Compute { engine, ..Compute::default() };
    let mut learner = learner.with_trainable(&settings.tuning);
    if settings.da_vpt.weight > 0.0 {
        learner.da_vpt = Some(DaVpt::new(&settings.da_vpt, CLASSES, 4));
    }

    for parameter in inventory(&learner) {
        let inner = parameter.name.strip_prefix("encoder.backbone.");
        let expected = inner.is_none_or(declared);
        assert_eq!(parameter.trains, expected, "{method}: {}", parameter.name);
    }
    let before = named_tensors(&learner);
    let mut proxy_memory = initial_proxy_memory(&mut rng, CLASSES, 12, &device);
    let optimizer = OptimizerConfig { kind: OptimizerKind::Sgd, weight_decay: 0.0, ..OptimizerConfig::default() };
    let mut state = OptimizerState::default();
    // Some starting values are zero and hide what is behind them for a step or two.
    for _ in 0..3 {
        let images = normal_values(&mut rng, 4 * 3 * 16 * 16, 1.0);
        let images = Tensor::from_data(TensorData::new(images, [4, 3, 16, 16]), &device);
        let batch = TrainBatch { images, labels: vec![4, 4, 1, 1], banked_prompts: None };
        let output = learner.forward(batch, &proxy_memory, &settings.proxies, &settings.loss, &mut rng);
        let mut gradients = output.loss.backward();
        let rates = LearningRates { base: 0.1, proxies: 0.1 };
        learner = state.step(learner, &mut gradients, &optimizer, rates);
        proxy_memory = output.proxy_memory.unwrap_or(proxy_memory);
    }
    let after = named_tensors(&learner);
    let trains: BTreeMap<String, bool> = inventory(&learner).into_iter().map(|p| (p.name, p.trains)).collect();
    for (name, old) in &before {
        let new = &after[name];
        assert!(new.iter::<f32>().all(|v| v.is_finite()), "{method}: {name} is not finite");
        if trains[name] {
            assert_ne!(old, new, "{method} ({engine:?}): {name} is declared to train and did not change");
        } else {
            assert_eq!(old, new, "{method} ({engine:?}): {name} is frozen and changed");
        }
    }
}

#[derive(Default)]
struct Collect(BTreeMap<String, Group>);

impl MapByGroup for Collect {
    fn map<const R: usize>(&mut self, name: &str, group: Group, tensor: Tensor<R>) -> Tensor<R> {
        self.0.insert(name.to_string(), group);
        tensor
    }
}

#[test]
fn every_parameter_has_a_group_under_its_name_in_the_module_tree() {
    let config = VitConfig { attention_pool: true, ..VitConfig::new(32, 8, 16, 3, 2) };
    let prompts = PromptSchedule { count: 2, depth: 3, step: 0 };
    let tuning = Tuning { prompts: Some(prompts), embedding: Some(8), ..Tuning::default() };
    let proxies = ProxyConfig { source: ProxySource::Semantic, class_prompts: prompts, ..ProxyConfig::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut source = RandomInit::new(&mut rng, &Device::flex());
    let learner = Learner::from_source(&mut source, &config, &tuning, &proxies, &LossConfig::default(), 4);
    let names: Vec<String> = named_tensors(&learner).into_keys().collect();
    let mut groups = Collect::default();
    map_by_group(learner, &mut groups);
    assert_eq!(groups.0.keys().cloned().collect::<Vec<_>>(), names);
    for (name, group) in [
        ("encoder.backbone.patch_embed.proj.bias", Group::Backbone { depth: 0 }),
        ("encoder.backbone.blocks.0.norm1.bias", Group::Backbone { depth: 1 }),
        ("encoder.backbone.blocks.2.mlp.fc1.weight", Group::Backbone { depth: 3 }),
        ("encoder.backbone.norm.bias", Group::Backbone { depth: 4 }),
        ("encoder.backbone.attn_pool.latent", Group::Backbone { depth: 4 }),
        ("encoder.prompts.tables.0", Group::Prompts),
        ("encoder.head.norm.weight", Group::Head),
        ("proxy_tower.prompts.tables.1", Group::ProxyTower),
        ("proxies", Group::Proxies),
    ] {
        assert_eq!(groups.0.get(name), Some(&group), "{name}");
    }
}

#[test]
fn rates_fall_towards_the_input() {
    let rates = LearningRates { base: 1.0, proxies: 20.0 };
    let rate = |group: Group| group.rate(rates, 0.5, 12);
    assert_eq!(rate(Group::Head), 1.0);
    assert_eq!(rate(Group::Proxies), 20.0);
    for (depth, expected) in [(13, 1.0), (12, 0.5), (1, 0.5f64.powi(12)), (0, 0.5f64.powi(13))] {
        assert_eq!(rate(Group::Backbone { depth }), expected);
    }
}
