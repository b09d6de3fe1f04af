//! Reads a recorded run, replays it, and lists what differs beyond the tolerances of the goldens' README.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::parameters::{MapByName, ParameterSource, map_by_name, named_tensors};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::vit::adapter::{AdapterConfig, AdapterInit, AdapterNorm, AdapterPlacement};
use kinsight_model::weights::TensorMap;
use kinsight_model::{Compute, Engine, Pooling, Tuning, VitConfig};
use kinsight_train::accumulator::{AccumulatorConfig, AccumulatorKind};
use kinsight_train::bank::PromptBank;
use kinsight_train::learner::{Learner, TrainBatch};
use kinsight_train::loss::{LossConfig, LossKind, ProxyRange};
use kinsight_train::optim::{CosineSchedule, LearningRates, OptimizerConfig, OptimizerKind, OptimizerState};
use kinsight_train::proxies::{ProxyConfig, ProxySource, TowerPrompts};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Tolerances of the goldens' README for a float32 implementation.
const LOSS: f64 = 2e-5;
const EMBEDDING: f64 = 2e-5;
const NORM: f64 = 1e-4;

pub fn cases() -> Vec<PathBuf> {
    let root = std::env::var_os("KINSIGHT_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root.join("training"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    paths.sort();
    paths
}

pub struct GoldenRun {
    tensors: TensorMap,
    /// The same in full precision.
    numbers: BTreeMap<String, Vec<f64>>,
    options: Value,
    vit: Value,
    classes: usize,
    steps_per_epoch: usize,
}

impl GoldenRun {
    pub fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let (mut tensors, mut numbers) = (TensorMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let values = decode(view.dtype(), view.data());
            let data = TensorData::new(values.iter().map(|v| *v as f32).collect::<Vec<f32>>(), view.shape().to_vec());
            tensors.insert(name.clone(), data);
            numbers.insert(name, values);
        }
        let number = |key: &str| metadata[key].parse().unwrap();
        Self {
            options: serde_json::from_str(&metadata["options"]).unwrap(),
            vit: serde_json::from_str(&metadata["vit"]).unwrap(),
            classes: number("classes"),
            steps_per_epoch: number("steps_per_epoch"),
            tensors,
            numbers,
        }
    }

    /// Replays the run and lists every figure out of tolerance.
    pub fn check(&self, engine: Engine) -> Vec<String> {
        let device = Device::flex();
        let (tuning, proxies, loss, optimizer) = (self.tuning(), self.proxies(), self.loss(), self.optimizer());
        let mut source = GoldenInit { tensors: &self.tensors, device: device.clone() };
        let mut learner = Learner::from_source(&mut source, &self.vit(), &tuning, &proxies, &loss, self.classes);
        learner.encoder.backbone.compute = Compute { engine, ..Compute::default() };
        let mut learner = learner.with_trainable(&tuning);
        let mut bank = proxies.memory_bank.then(|| {
            PromptBank::new(self.classes, self.vit().width, proxies.class_prompts, |i| {
                source.values(&format!("proxy_tower.prompts.tables.{i}"), &[])
            })
            .unwrap()
        });
        let mut proxy_memory = self.tensor::<2>("init.proxies_container", &device);
        let mut state = OptimizerState::default();
        let keys_are_stable = optimizer.kind == OptimizerKind::Sgd;
        let mut report = Report { failures: Vec::new(), keys_are_stable };

        self.check_probe(&learner, "before", &device, &mut report);
        let losses = self.values("losses");
        let schedule = CosineSchedule {
            length: self.option("lr_cosine_length").as_u64().unwrap() as usize,
            floor: self.option("lr_cosine_min").as_f64().unwrap(),
        };
        for (step, expected_loss) in losses.into_iter().enumerate() {
            let epoch = step / self.steps_per_epoch;
            let rates = LearningRates {
                base: schedule.rate(optimizer.lr, epoch),
                proxies: schedule.rate(optimizer.lr_proxies, epoch),
            };
            report.relative("lr", step, rates.base, self.values("lr")[step], 1e-6);
            report.relative("lr_proxy", step, rates.proxies, self.values("lr_proxy")[step], 1e-6);
            let labels = self.labels(step);
            let mut batch = TrainBatch { images: self.images(step, &device), labels, banked_prompts: None };
            let classes = batch.classes();
            let lent = bank.as_ref().map(|bank| bank.lend(&classes, &device));
            batch.banked_prompts = lent.clone();
            let mut dropout = ChaCha8Rng::seed_from_u64(0);
            let output = learner.forward(batch, &proxy_memory, &proxies, &loss, &mut dropout);
            let mut gradients = output.loss.backward();
            report.relative("loss", step, output.loss.into_scalar::<f64>(), expected_loss, LOSS);
            if step == 0 {
                report.absolute("step0.embeds", output.embeddings, self.get("step0.embeds"), EMBEDDING);
                report.absolute("step0.proxies_all", output.proxies.unwrap(), self.get("step0.proxies_all"), EMBEDDING);
                if let Some(rows) = output.batch_proxies {
                    report.absolute("step0.proxies_batch", rows, self.get("step0.proxies_batch"), EMBEDDING);
                }
                self.check_gradients(&learner, lent.as_ref(), &gradients, &mut report);
            }
            learner = state.step(learner, &mut gradients, &optimizer, rates);
            if let (Some(bank), Some(lent)) = (&mut bank, &lent) {
                bank.take_back(&classes, lent, &mut gradients, &optimizer, rates.base);
            }
            if let Some(new) = output.proxy_memory {
                proxy_memory = new;
            }
        }
        self.check_probe(&learner, "after", &device, &mut report);
        self.check_final(&learner, bank.as_ref(), proxy_memory, &mut report);
        report.failures
    }

    fn check_probe(&self, learner: &Learner, when: &str, device: &Device, report: &mut Report) {
        let encoder = burn::module::Module::valid(&learner.encoder);
        let images = self.tensor::<4>("probe.images", device);
        if when == "before" {
            let backbone = &encoder.backbone;
            let tokens =
                backbone.normalize(backbone.run_blocks(backbone.embed(images.clone()), encoder.block_prompts()));
            report.absolute("probe.tokens_before", tokens, self.get("probe.tokens_before"), EMBEDDING);
        }
        let name = format!("probe.embeds_{when}");
        report.absolute(&name, encoder.forward(images), self.get(&name), EMBEDDING);
    }

    fn check_gradients(
        &self,
        learner: &Learner,
        lent: Option<&kinsight_model::prompts::PromptTables>,
        gradients: &Gradients,
        report: &mut Report,
    ) {
        let mut found = gradients_by_name(learner, gradients);
        for (i, table) in lent.iter().flat_map(|lent| lent.tables.iter()).enumerate() {
            if let Some(gradient) = table.val().grad(gradients) {
                found.insert(format!("p_prompts_buffer.{i}"), gradient.into_data());
            }
        }
        let expected = self.with_prefix("step0.grad.");
        for name in found.keys().filter(|name| !expected.contains_key(*name)) {
            report.failures.push(format!("gradient of {name} has no counterpart"));
        }
        for (name, expected) in &expected {
            match found.get(name) {
                None => report.failures.push(format!("no gradient for {name}")),
                Some(found) => report.norm(&format!("grad {name}"), found, expected, NORM),
            }
        }
    }

    fn check_final(&self, learner: &Learner, bank: Option<&PromptBank>, proxy_memory: Tensor<2>, report: &mut Report) {
        let mut found: BTreeMap<String, TensorData> =
            named_tensors(learner).into_iter().map(|(name, data)| (golden_name(&name), data)).collect();
        found.insert("proxies_container".into(), proxy_memory.into_data());
        for (name, slice) in bank.into_iter().flat_map(PromptBank::rows_in_memory) {
            if let Some(block) = name.strip_suffix("/values") {
                found.insert(format!("p_prompts.{block}"), TensorData::new(slice.values.to_vec(), slice.shape));
            }
        }
        let simple = self.flag("simple_proxies"); // class prompts exist there, unused
        for (name, expected) in self.with_prefix("final.") {
            if name == "rnn_update.W_ia" || simple && name.starts_with("p_prompts.") {
                continue;
            }
            let Some(found) = found.get(&name) else {
                report.failures.push(format!("no final tensor {name}"));
                continue;
            };
            report.norm(&format!("final {name}"), found, &expected, NORM);
        }
    }

    fn vit(&self) -> VitConfig {
        let size = |key: &str| self.vit[key].as_u64().unwrap() as usize;
        let config =
            VitConfig::new(size("img_size"), size("patch_size"), size("embed_dim"), size("depth"), size("num_heads"));
        VitConfig {
            mlp_hidden: (self.vit["mlp_ratio"].as_f64().unwrap() * config.width as f64) as usize,
            qkv_bias: self.vit["qkv_bias"].as_bool().unwrap(),
            ..config
        }
    }

    fn tuning(&self) -> Tuning {
        let adapter = self.flag("adapter").then(|| AdapterConfig {
            bottleneck: self.size("adapter_bottleneck_dim"),
            blocks: self.size("adapter_num_blocks"),
            placement: match self.text("adapter_option") {
                "parallel" => AdapterPlacement::Parallel,
                _ => AdapterPlacement::Sequential,
            },
            norm: if self.text("adapter_ln_position") == "pre" { AdapterNorm::Pre } else { AdapterNorm::Post },
            init: AdapterInit::Lora,
        });
        Tuning {
            full: self.flag("full_fine_tune"),
            bitfit: self.flag("vit_bitfit"),
            prompts: self.flag("vit_prompt").then(|| PromptSchedule {
                count: self.size("num_prompt"),
                depth: self.size("prompt_depth"),
                step: self.size("prompt_block_step"),
            }),
            adapter,
            pooling: Some(if self.text("vit_global_pooling") == "avg" { Pooling::Avg } else { Pooling::Class }),
            embedding: Some(self.size("embed_dim")),
            ..Tuning::default()
        }
    }

    fn proxies(&self) -> ProxyConfig {
        let source = match (self.flag("vit_proxy_net"), self.flag("simple_proxies")) {
            (false, _) => ProxySource::Learned,
            (true, true) => ProxySource::Simple,
            (true, false) => ProxySource::Semantic,
        };
        let defaults = AccumulatorConfig::default();
        ProxyConfig {
            source,
            class_prompts: PromptSchedule {
                count: self.size("num_p_prompt"),
                depth: self.size("p_prompt_depth"),
                step: self.size("prompt_p_block_step"),
            },
            tower_prompts: if source == ProxySource::Simple && self.flag("simple_proxies_vpt") {
                TowerPrompts::Encoder
            } else {
                TowerPrompts::None
            },
            proxy_bias_ratio: self.option("proxy_bias_ratio").as_f64().unwrap(),
            accumulator: AccumulatorConfig {
                kind: match self.text("semantic_mix_type") {
                    "mix" => AccumulatorKind::Ema,
                    "gru" => AccumulatorKind::Gru,
                    _ => AccumulatorKind::GruRelu,
                },
                ema_keep: self.option("proxy_mix_keep_ratio").as_f64().unwrap_or(defaults.ema_keep),
                ..defaults
            },
            memory_bank: self.flag("prompt_memory_bank"),
            ..ProxyConfig::default()
        }
    }

    /// Scales and margins are named by a record only where they differ from the authors' defaults.
    fn loss(&self) -> LossConfig {
        let mut loss = LossConfig {
            kind: if self.text("loss_oproxy_mode") == "nca" { LossKind::ProxyNca } else { LossKind::ProxyAnchor },
            range: if self.text("proxy_data_range") == "in_batch" { ProxyRange::InBatch } else { ProxyRange::All },
            ..LossConfig::default()
        };
        for (option, values) in [
            ("pos_alpha", [&mut loss.proxy_anchor.positive_alpha, &mut loss.proxy_nca.positive_alpha]),
            ("neg_alpha", [&mut loss.proxy_anchor.negative_alpha, &mut loss.proxy_nca.negative_alpha]),
            ("pos_delta", [&mut loss.proxy_anchor.positive_delta, &mut loss.proxy_nca.positive_delta]),
            ("neg_delta", [&mut loss.proxy_anchor.negative_delta, &mut loss.proxy_nca.negative_delta]),
        ] {
            if let Some(given) = self.option(option).as_f64() {
                values.into_iter().for_each(|value| *value = given);
            }
        }
        loss
    }

    fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            kind: match self.text("optim") {
                "sgd" => OptimizerKind::Sgd,
                "adam" => OptimizerKind::Adam,
                _ => OptimizerKind::AdamW,
            },
            lr: self.option("lr").as_f64().unwrap(),
            lr_proxies: self.option("lr_proxy").as_f64().unwrap(),
            weight_decay: self.option("decay").as_f64().unwrap(),
            ..OptimizerConfig::default()
        }
    }

    fn option(&self, key: &str) -> &Value {
        &self.options[key]
    }
    fn flag(&self, key: &str) -> bool {
        self.option(key).as_bool().unwrap_or(false)
    }
    fn size(&self, key: &str) -> usize {
        self.option(key).as_u64().unwrap() as usize
    }
    fn text(&self, key: &str) -> &str {
        self.option(key).as_str().unwrap_or("")
    }

    fn get(&self, name: &str) -> &TensorData {
        self.tensors.get(name).unwrap_or_else(|| panic!("golden has no tensor {name}"))
    }
    fn values(&self, name: &str) -> Vec<f64> {
        self.numbers[name].clone()
    }
    fn tensor<const R: usize>(&self, name: &str, device: &Device) -> Tensor<R> {
        Tensor::from_data(self.get(name).clone(), device)
    }
    fn images(&self, step: usize, device: &Device) -> Tensor<4> {
        self.tensor::<5>("images", device).narrow(0, step, 1).squeeze_dim(0)
    }
    fn labels(&self, step: usize) -> Vec<usize> {
        let batch = self.get("labels").shape().to_vec()[1];
        self.values("labels")[step * batch..(step + 1) * batch].iter().map(|v| *v as usize).collect()
    }
    fn with_prefix(&self, prefix: &str) -> BTreeMap<String, TensorData> {
        self.tensors.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), v.clone()))).collect()
    }
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|chunk| value(chunk.try_into().unwrap())).collect()
    }
    match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |b| f32::from_le_bytes(b).into()),
        Dtype::F16 => each(bytes, |b| half::f16::from_le_bytes(b).into()),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        other => panic!("golden tensor of type {other:?}"),
    }
}

/// The recorded starting parameters as a source.
struct GoldenInit<'a> {
    tensors: &'a TensorMap,
    device: Device,
}

impl ParameterSource for GoldenInit<'_> {
    fn values(&mut self, name: &str, _: &[usize]) -> Vec<f32> {
        let golden = format!("init.{}", golden_name(name));
        let data = self.tensors.get(&golden).unwrap_or_else(|| panic!("golden has no {golden}"));
        data.try_to_vec::<f32>().unwrap()
    }
    fn device(&self) -> &Device {
        &self.device
    }
}

/// Kinsight's parameter name in the authors' naming.
fn golden_name(name: &str) -> String {
    let renames = [
        ("encoder.backbone.", "model."),
        ("encoder.prompts.tables.", "prompts."),
        ("encoder.head.norm.", "fc_norm."),
        ("encoder.head.projection.", "head."),
        ("proxy_tower.prompts.tables.", "p_prompts."),
        ("proxy_tower.head.norm.", "p_fc_norm."),
        ("proxy_tower.head.projection.", "p_head."),
    ];
    if let Some(part) = name.strip_prefix("proxy_tower.accumulator.gru.") {
        return format!("rnn_update.{}", part.replacen('w', "W", 1));
    }
    if name == "proxies" {
        return "proxies_bias".into();
    }
    renames
        .iter()
        .find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)))
        .unwrap_or_else(|| name.to_string())
}

fn gradients_by_name(learner: &Learner, gradients: &Gradients) -> BTreeMap<String, TensorData> {
    struct Collect<'a>(&'a Gradients, BTreeMap<String, TensorData>);
    impl MapByName for Collect<'_> {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            if let Some(gradient) = tensor.grad(self.0) {
                self.1.insert(golden_name(name), gradient.into_data());
            }
            tensor
        }
    }
    let mut collect = Collect(gradients, BTreeMap::new());
    map_by_name(learner.clone(), &mut collect);
    collect.1
}

struct Report {
    failures: Vec<String>,
    /// The true gradient of the key third of qkv.bias is zero; Adam divides the rounding noise there by its own size
    /// and steps by it, so only SGD's outcome can be compared.
    keys_are_stable: bool,
}

/// Whether an error exceeds its tolerance; one that is no number does.
fn is_beyond(error: f64, tolerance: f64) -> bool {
    error.is_nan() || error > tolerance
}

impl Report {
    fn relative(&mut self, what: &str, step: usize, found: f64, expected: f64, tolerance: f64) {
        let error = (found - expected).abs() / expected.abs().max(1e-12);
        if is_beyond(error, tolerance) {
            self.failures.push(format!("{what} at step {step}: {found} expected {expected} (relative {error:.1e})"));
        }
    }

    fn absolute<const R: usize>(&mut self, what: &str, found: Tensor<R>, expected: &TensorData, tolerance: f64) {
        assert_eq!(found.dims().to_vec(), expected.shape().to_vec(), "{what}");
        let found = found.into_data().try_to_vec::<f32>().unwrap();
        let expected = expected.try_to_vec::<f32>().unwrap();
        let worst = found.iter().zip(&expected).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max);
        if is_beyond(worst, tolerance) || found.iter().any(|v| v.is_nan()) {
            self.failures.push(format!("{what}: largest difference {worst:.1e}"));
        }
    }

    /// Relative error in norm; the key third of qkv.bias is judged apart, or not at all.
    fn norm(&mut self, what: &str, found: &TensorData, expected: &TensorData, tolerance: f64) {
        let found = found.try_to_vec::<f32>().unwrap();
        let expected = expected.try_to_vec::<f32>().unwrap();
        assert_eq!(found.len(), expected.len(), "{what}");
        let third = found.len() / 3;
        let is_key = |i: usize| what.ends_with("qkv.bias") && (third..2 * third).contains(&i);
        let error = |keys: bool| {
            let of = |i: usize| is_key(i) == keys;
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let pairs = found.iter().zip(&expected).enumerate().filter(|(i, _)| of(*i));
            let difference = squares(&mut pairs.map(|(_, (a, b))| f64::from(a - b)));
            let size = squares(&mut expected.iter().enumerate().filter(|(i, _)| of(*i)).map(|(_, b)| f64::from(*b)));
            difference / size.max(1e-12)
        };
        if is_beyond(error(false), tolerance) {
            self.failures.push(format!("{what}: relative error {:.1e}", error(false)));
        }
        if self.keys_are_stable && what.starts_with("final") && is_beyond(error(true), tolerance) {
            self.failures.push(format!("{what} (keys): relative error {:.1e}", error(true)));
        }
    }
}
