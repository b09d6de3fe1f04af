//! The fifteen losses against pytorch-metric-learning's numbers: value, gradient of embeddings and of the loss's own
//! parameters.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::head::l2_normalize;
use kinsight_train::loss::{Chosen, LossConfig, LossKind, PositiveMean};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Tolerances of the goldens' README for a float32 implementation.
const LOSS: f64 = 2e-5;
const NORM: f64 = 1e-4;

struct Golden {
    tensors: BTreeMap<String, (Vec<f64>, Vec<usize>)>,
    settings: Value,
}

impl Golden {
    fn open() -> Self {
        let root = std::env::var_os("KINSIGHT_GOLDEN")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
        let bytes = std::fs::read(root.join("losses.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let settings = serde_json::from_str(&header.metadata().as_ref().unwrap()["losses"]).unwrap();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let values = match view.dtype() {
                Dtype::F64 => each(view.data(), f64::from_le_bytes),
                Dtype::F32 => each(view.data(), |b| f32::from_le_bytes(b).into()),
                Dtype::I64 => each(view.data(), |b| i64::from_le_bytes(b) as f64),
                other => panic!("{name} has type {other:?}"),
            };
            tensors.insert(name, (values, view.shape().to_vec()));
        }
        Self { tensors, settings }
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("golden has no tensor {name}")).0
    }

    /// A leaf that keeps a gradient; `[E, C]` parameters of pytorch-metric-learning are turned round.
    fn leaf(&self, name: &str, turn: bool) -> Tensor<2> {
        let (values, shape) = &self.tensors[name];
        let data = TensorData::new(values.iter().map(|v| *v as f32).collect::<Vec<f32>>(), shape.clone());
        let tensor = Tensor::<2>::from_data(data, &Device::flex());
        let tensor = if turn { tensor.transpose() } else { tensor };
        tensor.autodiff().require_grad()
    }

    /// The recorded settings in Kinsight's names, and the recorded name of the proxies.
    fn config(&self, name: &str) -> (LossConfig, Option<&'static str>) {
        let settings = &self.settings[name];
        let number = |key: &str| settings[key].as_f64().unwrap_or_else(|| panic!("{name} has no setting {key}"));
        let mut config = LossConfig::default();
        let (kind, proxies) = match name {
            "proxy_anchor" => {
                let anchor = &mut config.proxy_anchor;
                (anchor.positive_alpha, anchor.negative_alpha) = (number("alpha"), number("alpha"));
                // pytorch-metric-learning adds the margin to negatives: the authors' delta with the sign turned.
                (anchor.positive_delta, anchor.negative_delta) = (number("margin"), -number("margin"));
                anchor.positive_mean = PositiveMean::Present;
                (LossKind::ProxyAnchor, Some("proxies"))
            }
            "proxy_nca" => {
                config.proxy_nca_softmax.scale = number("softmax_scale");
                (LossKind::ProxyNcaSoftmax, Some("proxies"))
            }
            "norm_softmax" => {
                config.normalized_softmax.temperature = number("temperature");
                (LossKind::NormalizedSoftmax, Some("W"))
            }
            "arcface" => {
                config.arcface.margin_degrees = number("margin_degrees");
                config.arcface.scale = number("scale");
                (LossKind::ArcFace, Some("W"))
            }
            "cosface" => {
                config.cosface.margin = number("margin");
                config.cosface.scale = number("scale");
                (LossKind::CosFace, Some("W"))
            }
            "soft_triple" => {
                let soft = &mut config.soft_triple;
                soft.centers_per_class = number("centers_per_class") as usize;
                (soft.la, soft.gamma, soft.margin) = (number("la"), number("gamma"), number("margin"));
                (LossKind::SoftTriple, Some("fc"))
            }
            "multi_similarity" => {
                let multi = &mut config.multi_similarity;
                (multi.alpha, multi.beta, multi.base) = (number("alpha"), number("beta"), number("base"));
                (LossKind::MultiSimilarity, None)
            }
            "contrastive" => {
                config.contrastive.positive_margin = number("pos_margin");
                config.contrastive.negative_margin = number("neg_margin");
                (LossKind::Contrastive, None)
            }
            "triplet" => {
                config.triplet.margin = number("margin");
                (LossKind::Triplet, None)
            }
            "margin" => {
                let margin = &mut config.margin;
                (margin.margin, margin.nu, margin.beta) = (number("margin"), number("nu"), number("beta"));
                (LossKind::Margin, None)
            }
            "ntxent" => {
                config.ntxent.temperature = number("temperature");
                (LossKind::NtXent, None)
            }
            "supcon" => {
                config.supcon.temperature = number("temperature");
                (LossKind::SupCon, None)
            }
            "circle" => {
                (config.circle.m, config.circle.gamma) = (number("m"), number("gamma"));
                (LossKind::Circle, None)
            }
            "lifted_structure" => {
                config.lifted_structure.negative_margin = number("neg_margin");
                config.lifted_structure.positive_margin = number("pos_margin");
                (LossKind::LiftedStructure, None)
            }
            "npairs" => (LossKind::NPairs, None),
            other => panic!("golden loss {other} is unknown"),
        };
        config.kind = kind;
        (config, proxies)
    }
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.chunks_exact(N).map(|chunk| value(chunk.try_into().unwrap())).collect()
}

/// Relative error in norm.
fn error(found: Tensor<2>, expected: &[f64]) -> f64 {
    let found: Vec<f64> = found.into_data().iter::<f64>().collect();
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied()).max(1e-12)
}

#[test]
fn golden_losses() {
    let golden = Golden::open();
    let labels: Vec<usize> = golden.values("labels").iter().map(|label| *label as usize).collect();
    let mut failures = Vec::new();
    let names: Vec<String> = golden.settings.as_object().unwrap().keys().cloned().collect();
    assert!(!names.is_empty(), "no losses recorded");
    for name in &names {
        let (config, proxies_name) = golden.config(name);
        let turned = proxies_name.is_some_and(|proxies| proxies != "proxies");
        let embeddings = golden.leaf("embeddings", false);
        let proxies = proxies_name.map(|proxies| golden.leaf(&format!("{name}.param.{proxies}"), turned));
        let unit = l2_normalize(embeddings.clone());
        let loss = match config.chosen() {
            Chosen::Proxies(loss) => loss.value(unit, l2_normalize(proxies.clone().unwrap()), &labels),
            Chosen::Samples(loss) => {
                config.between_samples(loss, unit, &labels, 0, None, &mut ChaCha8Rng::seed_from_u64(0))
            }
        };
        let gradients = loss.backward();
        let (found, expected) = (loss.into_scalar::<f64>(), golden.values(&format!("{name}.loss"))[0]);
        let mut check = |what: &str, error: f64, tolerance: f64| {
            if error.is_nan() || error > tolerance {
                failures.push(format!("{name}: {what} is off by {error:.1e}"));
            }
        };
        check("loss", (found - expected).abs() / expected.abs(), LOSS);
        let gradient = embeddings.grad(&gradients).unwrap();
        check("gradient of the embeddings", error(gradient, golden.values(&format!("{name}.grad_embeddings"))), NORM);
        if let (Some(proxies), Some(proxies_name)) = (&proxies, proxies_name) {
            let gradient = proxies.grad(&gradients).unwrap();
            let gradient = if turned { gradient.transpose() } else { gradient };
            let expected = golden.values(&format!("{name}.grad.{proxies_name}"));
            check(&format!("gradient of {proxies_name}"), error(gradient, expected), NORM);
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
