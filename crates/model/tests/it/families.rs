//! Every family is fine-tunable: prompts, adapters, biases and the head get the gradients that finite differences give,
//! the rest of the backbone gets none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::parameters::{MapByName, map_by_name, normal_values};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::vit::Activation;
use kinsight_model::vit::adapter::{AdapterConfig, AdapterInit, AdapterNorm, AdapterPlacement};
use kinsight_model::{Encoder, Tuning, VitConfig};

use crate::support::Noise;

fn families() -> Vec<(&'static str, VitConfig)> {
    let plain = VitConfig::new(16, 8, 24, 2, 2);
    vec![
        ("distilled", VitConfig { distilled: true, ..plain.clone() }),
        ("DeiT-III", VitConfig { layer_scale: true, class_position: false, ..plain.clone() }),
        ("registers", VitConfig { layer_scale: true, class_position: false, registers: 2, ..plain.clone() }),
        ("registers behind a class position", VitConfig { registers: 2, ..plain.clone() }),
        ("SwiGLU", VitConfig { layer_scale: true, gated_mlp: true, mlp_hidden: 20, ..plain.clone() }),
        ("CLIP", VitConfig { norm_pre: true, patch_bias: false, activation: Activation::QuickGelu, ..plain.clone() }),
        (
            "SigLIP",
            VitConfig {
                class_token: false,
                class_position: false,
                attention_pool: true,
                activation: Activation::GeluTanh,
                ..plain.clone()
            },
        ),
        ("DINOv3", VitConfig { layer_scale: true, registers: 2, rotary_theta: Some(100.0), gated_mlp: true, ..plain }),
    ]
}

#[test]
fn every_family_trains_prompts_adapters_biases_and_head() {
    for (family, config) in families() {
        config.validate().unwrap();
        let tuning = Tuning {
            bitfit: true,
            prompts: Some(PromptSchedule { count: 3, depth: 2, step: 1 }),
            adapter: Some(AdapterConfig {
                bottleneck: 4,
                blocks: 1,
                placement: AdapterPlacement::Parallel,
                norm: AdapterNorm::Pre,
                init: AdapterInit::Bert,
            }),
            pooling: Some(config.natural_pooling()),
            embedding: Some(6),
            ..Tuning::default()
        };
        let device = Device::flex();
        let mut noise = Noise::new(11);
        let encoder = Encoder::from_source(&mut noise, &config, &tuning).with_trainable(&tuning);
        let images = normal_values(&mut noise.rng, 2 * 3 * 16 * 16, 1.0);
        let images = Tensor::<4>::from_data(TensorData::new(images, [2, 3, 16, 16]), &device);
        let weights = normal_values(&mut noise.rng, 2 * 6, 1.0);
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [2, 6]), &device);
        let loss = |encoder: &Encoder| (encoder.forward(images.clone()) * weights.clone()).sum();

        let gradients = gradients(&encoder, &loss(&encoder).backward());
        for (name, gradient) in &gradients {
            let trains = tuning.trains(name);
            assert_eq!(gradient.is_some(), trains, "{family}: {name}");
            let Some(gradient) = gradient else { continue };
            assert!(gradient.iter().all(|v| v.is_finite()), "{family}: {name} is not finite");
            assert!(gradient.iter().any(|v| v.abs() > 1e-7), "{family}: nothing reaches {name}");
        }
        for name in ["prompts.tables.0", "prompts.tables.1", "backbone.blocks.0.attn.qkv.bias", "backbone.norm.bias"] {
            let gradient = gradients[name].as_ref().unwrap();
            let direction = normal_values(&mut noise.rng, gradient.len(), 1.0);
            let expected: f32 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let step = 4e-3;
            let at = |step: f32| loss(&moved(encoder.clone(), name, &direction, step)).into_scalar::<f32>();
            let found = (at(step) - at(-step)) / (2.0 * step);
            assert!(
                (found - expected).abs() < 3e-3 + 2e-2 * expected.abs(),
                "{family}: along {name} the loss changes by {found}, its gradient says {expected}"
            );
        }
    }
}

/// The gradient of every parameter by name, where there is one.
fn gradients(encoder: &Encoder, gradients: &Gradients) -> BTreeMap<String, Option<Vec<f32>>> {
    struct Collect<'a>(&'a Gradients, BTreeMap<String, Option<Vec<f32>>>);
    impl MapByName for Collect<'_> {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            let gradient = tensor.grad(self.0).map(|g| g.into_data().try_to_vec::<f32>().unwrap());
            self.1.insert(name.to_string(), gradient);
            tensor
        }
    }
    let mut collect = Collect(gradients, BTreeMap::new());
    map_by_name(encoder.clone(), &mut collect);
    collect.1
}

/// `encoder` with `step * direction` added to one parameter.
fn moved(encoder: Encoder, name: &str, direction: &[f32], step: f32) -> Encoder {
    struct Move<'a>(&'a str, &'a [f32], f32);
    impl MapByName for Move<'_> {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            if name != self.0 {
                return tensor;
            }
            let step: Vec<f32> = self.1.iter().map(|d| d * self.2).collect();
            let step = Tensor::<R>::from_data(TensorData::new(step, tensor.dims()), &tensor.device());
            tensor + step
        }
    }
    map_by_name(encoder, &mut Move(name, direction, step))
}
