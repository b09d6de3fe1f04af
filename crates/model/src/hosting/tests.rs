//! A mixed batch gives every fine-tuning its own embeddings, over one copy of the backbone.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::Preprocess;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{HostedImages, SharedBackbone};
use crate::VitConfig;
use crate::backbone::{Backbone, CONFIG_KEY, PREPROCESS_KEY};
use crate::encoder::Encoder;
use crate::engine::{Compute, Engine};
use crate::finetuned::{FineTuningInfo, load_fine_tuned, save_fine_tuning};
use crate::parameters::{RandomInit, named_tensors, uniform_values};
use crate::prompts::PromptSchedule;
use crate::tuning::{BiasPart, Tuning};
use crate::vit::adapter::AdapterConfig;
use crate::vit::lora::{LoraConfig, LoraTarget};
use crate::vit::{Pooling, VisionTransformer};
use crate::weights::write_safetensors;

const SIDE: usize = 32;

fn write_backbone(folder: &std::path::Path) -> Backbone {
    let device = Device::flex();
    let config = VitConfig::new(SIDE, 8, 32, 3, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let model = VisionTransformer::from_source(&mut RandomInit::new(&mut rng, &device), "", &config, None);
    let preprocess = Preprocess { input_size_px: SIDE as u32, resize_size_px: 36, ..Preprocess::default() };
    let metadata = BTreeMap::from([
        (CONFIG_KEY.to_string(), serde_json::to_string(&config).unwrap()),
        (PREPROCESS_KEY.to_string(), serde_json::to_string(&preprocess).unwrap()),
    ]);
    let path = folder.join("backbone.safetensors");
    write_safetensors(&path, &named_tensors(&model), metadata).unwrap();
    Backbone::open(path.to_str().unwrap(), None).unwrap()
}

/// A fine-tuning with random trained tensors.
fn write_tuning(path: &std::path::Path, backbone: &Backbone, tuning: &Tuning, seed: u64) {
    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let encoder = Encoder::from_source(&mut RandomInit::new(&mut rng, &device), &backbone.config, tuning);
    let info = FineTuningInfo {
        version: "test".into(),
        backbone: backbone.name.clone(),
        backbone_fingerprint: backbone.fingerprint.clone(),
        tuning: tuning.clone(),
        preprocess: backbone.preprocess,
        training: None,
    };
    save_fine_tuning(path, &encoder, &info).unwrap();
}

/// Every kind of fine-tuning there is.
fn tunings() -> Vec<Tuning> {
    // A new part does not compile until it is named here: it needs a fine-tuning below, because a server that does not
    // know it answers as if it were not there.
    let Tuning {
        full: _,
        bitfit: _,
        bitfit_parts: _,
        layer_norm: _,
        last_blocks: _,
        first_trained_block: _,
        prompts: _,
        shallow_prompts: _,
        adapter: _,
        lora: _,
        ssf: _,
        pooling: _,
        embedding: _,
    } = Tuning::default();
    let lora = LoraConfig { rank: 3, targets: vec![LoraTarget::Qkv, LoraTarget::Mlp], ..LoraConfig::default() };
    let prompts = |count, step| Some(PromptSchedule { count, depth: 3, step });
    vec![
        Tuning { embedding: Some(16), ..Tuning::default() },
        Tuning { bitfit: true, prompts: prompts(4, 0), embedding: Some(16), ..Tuning::default() },
        Tuning { bitfit: true, prompts: prompts(5, 2), embedding: Some(24), ..Tuning::default() },
        Tuning {
            adapter: Some(AdapterConfig { bottleneck: 6, blocks: 2, ..AdapterConfig::default() }),
            pooling: Some(Pooling::Avg),
            ..Tuning::default()
        },
        Tuning { lora: Some(lora.clone()), embedding: Some(16), ..Tuning::default() },
        Tuning { lora: Some(LoraConfig { dora: true, ..lora }), ssf: true, ..Tuning::default() },
        Tuning { bitfit: true, bitfit_parts: vec![BiasPart::Q, BiasPart::Norm], ..Tuning::default() },
        Tuning { layer_norm: true, embedding: Some(16), ..Tuning::default() },
        Tuning { shallow_prompts: true, prompts: prompts(3, 0), pooling: Some(Pooling::Avg), ..Tuning::default() },
        Tuning { last_blocks: 1, first_trained_block: Some(2), ..Tuning::default() },
        Tuning { full: true, embedding: Some(16), ..Tuning::default() },
    ]
}

fn images(count: usize, seed: u64) -> Vec<f32> {
    uniform_values(&mut ChaCha8Rng::seed_from_u64(seed), count * 3 * SIDE * SIDE, 2.0)
}

#[test]
fn a_mixed_batch_equals_each_fine_tuning_alone() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    for engine in [Engine::Fused, Engine::Composed] {
        let compute = Compute { engine, ..Compute::default() };
        let shared = SharedBackbone::load(write_backbone(folder.path()), compute, &device).unwrap();
        let mut alone = Vec::new();
        let mut hosted = vec![shared.bare(None).unwrap()];
        alone.push(Encoder::bare(shared.backbone(), None, &device).unwrap());
        for (i, tuning) in tunings().iter().enumerate() {
            let path = folder.path().join(format!("{i}.safetensors"));
            write_tuning(&path, shared.backbone(), tuning, i as u64);
            hosted.push(shared.attach(&path).unwrap());
            alone.push(load_fine_tuned(&path, shared.backbone(), &device).unwrap());
        }
        let mixes: Vec<bool> = hosted.iter().map(|encoder| encoder.shares_batches()).collect();
        let mut expected = [engine == Engine::Fused; 12];
        expected[10..].fill(false);
        assert_eq!(mixes, expected, "the last two change the matrices");

        // The same fine-tuning may come twice in a batch.
        let order = [1, 0, 2, 5, 3, 4, 1, 6, 7, 8, 9, 10, 11, 5];
        let groups: Vec<HostedImages<'_>> = order
            .iter()
            .enumerate()
            .map(|(i, &of)| HostedImages { encoder: &hosted[of], images: images(1 + i % 3, i as u64) })
            .collect();
        let embeddings = shared.embed(groups).unwrap();
        for ((i, &of), found) in order.iter().enumerate().zip(&embeddings) {
            let count = 1 + i % 3;
            let data = TensorData::new(images(count, i as u64), [count, 3, SIDE, SIDE]);
            let expected = alone[of].forward(Tensor::from_data(data, &device)).into_data();
            assert_eq!(found.len(), count * hosted[of].embedding_size());
            for (found, expected) in found.iter().zip(expected.iter::<f32>()) {
                assert!((found - expected).abs() < 1e-5, "encoder {of}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn a_fine_tuning_costs_its_own_tensors_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shared = SharedBackbone::load(write_backbone(folder.path()), Compute::default(), &Device::flex()).unwrap();
    let path = folder.path().join("tuning.safetensors");
    write_tuning(&path, shared.backbone(), &tunings()[1], 1);
    let hosted = shared.attach(&path).unwrap();
    let file = std::fs::metadata(&path).unwrap().len() as usize;
    assert!(hosted.own_bytes() < 3 * file, "{} bytes for a file of {file}", hosted.own_bytes());
    let backbone = std::fs::metadata(folder.path().join("backbone.safetensors")).unwrap().len() as usize;
    assert!(hosted.own_bytes() < backbone / 2, "{} bytes over a backbone of {backbone}", hosted.own_bytes());
}

#[test]
fn images_of_another_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shared = SharedBackbone::load(write_backbone(folder.path()), Compute::default(), &Device::flex()).unwrap();
    let bare = shared.bare(None).unwrap();
    let error = shared.embed(vec![HostedImages { encoder: &bare, images: vec![0.0; 12] }]).unwrap_err();
    assert!(error.to_string().contains("12 values"), "{error}");
}
