//! Every loss in the learner: with learned and with semantic proxies, with every miner, and on degenerate batches.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::head::l2_normalize;
use kinsight_model::parameters::{RandomInit, inventory, named_tensors, normal_values, to_vec};
use kinsight_model::{Pooling, VitConfig};
use kinsight_train::TrainConfig;
use kinsight_train::config::{Overrides, parse_assignment};
use kinsight_train::init::{FreshLearner, initial_proxy_memory};
use kinsight_train::learner::{Learner, TrainBatch};
use kinsight_train::loss::{Chosen, LossConfig, LossKind};
use kinsight_train::miner::MinerKind;
use kinsight_train::optim::{LearningRates, OptimizerConfig, OptimizerState};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const CLASSES: usize = 5;

fn vit() -> VitConfig {
    VitConfig::new(16, 8, 12, 2, 2)
}

fn settings(method: &str, assignments: &[String]) -> TrainConfig {
    let mut overrides = Overrides::default();
    overrides.set("method", method);
    overrides.assignments.extend(assignments.iter().map(|text| parse_assignment(text).unwrap()));
    overrides.load().unwrap().resolve(&vit(), Pooling::Class).unwrap()
}

/// Two steps on batches with these labels; parameters that train and did not change.
fn unmoved(settings: &TrainConfig, labels: &[usize]) -> Vec<String> {
    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut backbone_rng = ChaCha8Rng::seed_from_u64(4);
    let mut backbone = RandomInit::new(&mut backbone_rng, &device);
    let mut source = FreshLearner::new(&mut backbone, &settings.tuning, &mut rng);
    let learner =
        Learner::from_source(&mut source, &vit(), &settings.tuning, &settings.proxies, &settings.loss, CLASSES);
    let mut learner = learner.with_trainable(&settings.tuning);
    let before = named_tensors(&learner);
    let mut proxy_memory = initial_proxy_memory(&mut rng, CLASSES, 12, &device);
    let optimizer = OptimizerConfig { weight_decay: 0.0, ..OptimizerConfig::default() };
    let mut state = OptimizerState::default();
    for _ in 0..2 {
        let count = labels.len();
        let images = normal_values(&mut rng, count * 3 * 16 * 16, 1.0);
        let images = Tensor::from_data(TensorData::new(images, [count, 3, 16, 16]), &device);
        let batch = TrainBatch { images, labels: labels.to_vec(), banked_prompts: None };
        let output = learner.forward(batch, &proxy_memory, &settings.proxies, &settings.loss, &mut rng);
        let mut gradients = output.loss.backward();
        assert!(output.loss.into_scalar::<f64>().is_finite(), "{:?}", settings.loss.kind);
        let rates = LearningRates { base: 0.01, proxies: 0.01 };
        learner = state.step(learner, &mut gradients, &optimizer, rates);
        proxy_memory = output.proxy_memory.unwrap_or(proxy_memory);
    }
    let after = named_tensors(&learner);
    assert!(after.values().all(|data| data.iter::<f32>().all(|v| v.is_finite())), "{:?}", settings.loss.kind);
    inventory(&learner).into_iter().filter(|p| p.trains && before[&p.name] == after[&p.name]).map(|p| p.name).collect()
}

#[test]
fn every_loss_trains_everything_with_learned_and_with_semantic_proxies() {
    for kind in LossKind::ALL {
        let loss = format!("loss.kind={}", kind.name());
        let small = ["loss.soft_triple.centers_per_class=3", "loss.margin.learn_beta=per-class", "loss.margin.nu=0.1"];
        let assignments: Vec<String> = small.iter().map(ToString::to_string).chain([loss]).collect();
        for method in ["linear", "vptsp-g"] {
            let settings = settings(method, &assignments);
            let stuck = unmoved(&settings, &[4, 4, 1, 1, 0, 0]);
            assert_eq!(stuck, [""; 0], "{method}, {}", kind.name());
        }
    }
}

#[test]
fn a_loss_between_samples_has_no_learned_proxies_unless_there_is_a_tower() {
    let names = |method: &str, loss: &str| -> Vec<String> {
        let settings = settings(method, &[format!("loss.kind={loss}")]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut backbone_rng = ChaCha8Rng::seed_from_u64(4);
        let mut backbone = RandomInit::new(&mut backbone_rng, &Device::flex());
        let mut source = FreshLearner::new(&mut backbone, &settings.tuning, &mut rng);
        let learner =
            Learner::from_source(&mut source, &vit(), &settings.tuning, &settings.proxies, &settings.loss, CLASSES);
        inventory(&learner).into_iter().map(|p| p.name).collect()
    };
    assert!(!names("linear", "triplet").contains(&"proxies".to_string()));
    assert!(names("vptsp-g", "triplet").contains(&"proxies".to_string()));
    assert!(names("linear", "arcface").contains(&"proxies".to_string()));
}

#[test]
fn every_miner_works_with_every_loss_between_samples() {
    let is_pair_loss = |kind: &&LossKind| {
        let config = kinsight_train::loss::LossConfig { kind: **kind, ..Default::default() };
        !config.compares_proxies()
    };
    for kind in LossKind::ALL.iter().filter(is_pair_loss) {
        for miner in MinerKind::ALL {
            let mut settings = settings("linear", &[format!("loss.kind={}", kind.name())]);
            settings.loss.miner.kind = *miner;
            unmoved(&settings, &[4, 4, 1, 1, 0, 0]); // finite
        }
    }
}

#[test]
fn batches_of_one_class_or_of_singletons_are_no_trouble() {
    for kind in LossKind::ALL {
        let settings = settings("linear", &[format!("loss.kind={}", kind.name())]);
        for labels in [&[2, 2, 2, 2][..], &[0, 1, 2, 3], &[1]] {
            unmoved(&settings, labels); // finite
        }
    }
}

#[test]
fn a_miner_with_a_proxy_loss_is_an_error_with_a_hint() {
    let mut overrides = Overrides::default();
    overrides.assignments.push(parse_assignment("loss.miner.kind=batch-hard").unwrap());
    let error = overrides.load().unwrap().resolve(&vit(), Pooling::Class).unwrap_err();
    assert!(error.to_string().contains("proxy-anchor") && error.hint().unwrap().contains("triplet"), "{error}");
}

/// Central differences of the options that no golden covers.
#[test]
fn gradients_of_the_other_forms_agree_with_finite_differences() {
    use kinsight_model::head::l2_normalize;
    use kinsight_train::loss::{Chosen, LossConfig};
    let cases =
        [("lifted-structure", "loss.lifted_structure.form=original"), ("margin", "loss.margin.learn_beta=shared")];
    for (kind, option) in cases {
        let options = [format!("loss.kind={kind}"), option.to_string(), "loss.margin.nu=0.3".to_string()];
        let config: LossConfig = settings("linear", &options).loss;
        let labels = [0, 0, 1, 1, 2, 2];
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let values = normal_values(&mut rng, 6 * 5, 1.0);
        let loss = |values: Vec<f32>, offset: f32| {
            let device = Device::flex();
            let x = Tensor::<2>::from_data(TensorData::new(values, [6, 5]), &device).autodiff().require_grad();
            let beta = Tensor::<1>::from_data([offset], &device).autodiff().require_grad();
            let Chosen::Samples(chosen) = config.chosen() else { panic!("a loss between samples") };
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let learned = (config.learned(3) > 0).then(|| beta.clone());
            let loss = config.between_samples(chosen, l2_normalize(x.clone()), &labels, 0, learned, &mut rng);
            (loss, x, beta)
        };
        let value = |values: Vec<f32>, offset: f32| loss(values, offset).0.into_scalar::<f64>();
        let (found, x, beta) = loss(values.clone(), 0.05);
        let gradients = found.backward();
        let gradient = x.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
        let h = 1e-2;
        for i in [0, 7, 13, 22, 29] {
            let moved = |by: f32| {
                let mut moved = values.clone();
                moved[i] += by;
                value(moved, 0.05)
            };
            let expected = (moved(h) - moved(-h)) / f64::from(2.0 * h);
            assert!(
                (f64::from(gradient[i]) - expected).abs() < 2e-2 * expected.abs().max(0.1),
                "{kind} {i}: {expected}"
            );
        }
        if config.learned(3) > 0 {
            let expected = (value(values.clone(), 0.05 + h) - value(values.clone(), 0.05 - h)) / f64::from(2.0 * h);
            let found = beta.grad(&gradients).unwrap().into_scalar::<f64>();
            assert!((found - expected).abs() < 2e-2 * expected.abs().max(0.1), "beta: {found}, {expected}");
        }
    }
}

/// Value and gradient of a loss on six images of three classes, two of them all but equal and two opposite.
fn value_and_gradient(settings: &str) -> (f32, Vec<f32>) {
    let config: LossConfig = toml::from_str(settings).unwrap();
    let rows = [[1.0, 0.0], [0.999, 0.0447], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]];
    let labels = [0, 0, 1, 1, 2, 2];
    let embeddings = Tensor::<2>::from_data(rows, &Device::flex()).autodiff().require_grad();
    let loss = match config.chosen() {
        Chosen::Proxies(loss) => {
            let proxies = Tensor::<2>::from_data([rows[0], rows[3], rows[4]], &Device::flex());
            let centers = config.centers_per_class();
            let proxies = proxies.reshape([3, 1, 2]).expand([3, centers, 2]).reshape([3 * centers, 2]);
            loss.value(embeddings.clone(), proxies, &labels)
        }
        Chosen::Samples(loss) => {
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            config.between_samples(loss, embeddings.clone(), &labels, 0, None, &mut rng)
        }
    };
    let gradient = embeddings.grad(&loss.backward()).unwrap();
    (loss.into_scalar::<f32>(), gradient.into_data().try_to_vec().unwrap())
}

#[test]
fn no_scale_or_margin_overflows() {
    let extreme = [
        ("proxy-anchor", "positive_alpha = 5e3\nnegative_alpha = 5e3"),
        ("proxy-nca", "positive_alpha = 5e3\nnegative_alpha = 5e3"),
        ("proxy-nca-softmax", "scale = 5e3"),
        ("normalized-softmax", "temperature = 2e-4"),
        ("arcface", "scale = 5e3"),
        ("cosface", "scale = 5e3"),
        ("soft-triple", "la = 5e3\ngamma = 2e-4"),
        ("multi-similarity", "alpha = 5e3\nbeta = 5e3"),
        ("contrastive", "negative_margin = 5e3"),
        ("triplet", "margin = 5e3"),
        ("margin", "margin = 5e3"),
        ("ntxent", "temperature = 2e-4"),
        ("supcon", "temperature = 2e-4"),
        ("circle", "gamma = 5e3"),
        ("lifted-structure", "negative_margin = 5e3"),
        ("lifted-structure", "form = \"original\"\nnegative_margin = 5e3"),
        ("npairs", ""),
    ];
    for kind in LossKind::ALL {
        assert!(extreme.iter().any(|(name, _)| *name == kind.name()), "{}", kind.name());
    }
    for (name, settings) in extreme {
        let text = format!("kind = \"{name}\"\n[{}]\n{settings}", name.replace('-', "_"));
        let (value, gradient) = value_and_gradient(&text);
        assert!(value.is_finite(), "{name} with {settings}: {value}");
        assert!(gradient.iter().all(|value| value.is_finite()), "{name} with {settings}: {gradient:?}");
    }
}

#[test]
fn proxy_anchor_equals_its_equation() {
    for alpha in [1.0, 32.0, 96.0] {
        let settings = format!("[proxy_anchor]\npositive_alpha = {alpha}\nnegative_alpha = {alpha}");
        let cosines: [[f64; 3]; 6] = [
            [1.0, -1.0, 0.6],
            [0.999, -0.999, 0.63516],
            [0.0, 0.0, 0.8],
            [-1.0, 1.0, -0.6],
            [0.6, -0.6, 1.0],
            [-0.8, 0.8, 0.0],
        ];
        let term = |class: usize| {
            let of = |own: bool| cosines.iter().enumerate().filter(move |(row, _)| (row / 2 == class) == own);
            let positive: f64 = of(true).map(|(_, s)| (-alpha * (s[class] - 0.1)).exp()).sum();
            let negative: f64 = of(false).map(|(_, s)| (alpha * (s[class] + 0.1)).exp()).sum();
            positive.ln_1p() + negative.ln_1p()
        };
        let expected = (term(0) + term(1) + term(2)) / 3.0;
        let found = f64::from(value_and_gradient(&settings).0);
        assert!((found - expected).abs() < 1e-5 * expected, "alpha {alpha}: {found}, expected {expected}");
    }
}

#[test]
fn class_proxies_are_those_that_the_loss_compares_with() {
    let device = Device::flex();
    for (method, assignments) in [
        ("bitfit", &[][..]),
        ("vptsp-g", &["proxies.normalize_learned=true", "proxies.proxy_bias_ratio=0.3"]),
        ("vptsp-g", &["loss.kind=soft-triple", "loss.soft_triple.centers_per_class=2"]),
    ] {
        let config = settings(method, &assignments.iter().map(|text| text.to_string()).collect::<Vec<_>>());
        let (mut rng, mut backbone) = (ChaCha8Rng::seed_from_u64(3), ChaCha8Rng::seed_from_u64(4));
        let mut backbone = RandomInit::new(&mut backbone, &device);
        let mut source = FreshLearner::new(&mut backbone, &config.tuning, &mut rng);
        let learner = Learner::from_source(&mut source, &vit(), &config.tuning, &config.proxies, &config.loss, CLASSES);
        let proxy_memory = initial_proxy_memory(&mut rng, CLASSES, 12, &device);
        let images = TensorData::new(normal_values(&mut rng, 4 * 3 * 16 * 16, 1.0), [4, 3, 16, 16]);
        let images = Tensor::from_data(images, &device);
        let batch = TrainBatch { images, labels: vec![2, 2, 0, 0], banked_prompts: None };
        let output = learner.forward(batch, &proxy_memory, &config.proxies, &config.loss, &mut rng);
        let memory = output.proxy_memory.unwrap_or(proxy_memory);
        let found = learner.class_proxies(&memory, &config.proxies).unwrap();
        assert_eq!(found.dims(), [CLASSES * config.loss.centers_per_class(), 12], "{assignments:?}");
        let expected = to_vec(l2_normalize(output.proxies.unwrap()));
        for (found, expected) in to_vec(found).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{assignments:?}: {found}, expected {expected}");
        }
    }
}
