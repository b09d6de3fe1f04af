//! Explanations add up: the parts of an embedding sum to it, the parts of a similarity to the similarity.

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::{EvalTransform, Scratch};
use kinsight_model::explain::{self, trace};
use kinsight_model::parameters::{ParameterSource, normal_values};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::vit::Activation;
use kinsight_model::vit::adapter::{AdapterConfig, AdapterInit, AdapterNorm, AdapterPlacement};
use kinsight_model::{Backbone, Encoder, ModelError, Pooling, Tuning, VitConfig};
use kinsight_synthetic::render;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::support::Noise;

const SIDE: usize = 16;
const GRID: usize = 4;

/// Random parameters, of which those whose names contain `silent` are zero.
struct Silenced {
    noise: Noise,
    silent: &'static str,
}

impl ParameterSource for Silenced {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        if !self.silent.is_empty() && name.contains(self.silent) {
            return vec![0.0; shape.iter().product()];
        }
        self.noise.values(name, shape)
    }
    fn device(&self) -> &Device {
        self.noise.device()
    }
}

fn noise(silent: &'static str) -> Silenced {
    Silenced { noise: Noise::new(11), silent }
}

fn config() -> VitConfig {
    VitConfig::new(SIDE, SIDE / GRID, 24, 3, 3)
}

fn image(seed: u64) -> Vec<f32> {
    normal_values(&mut ChaCha8Rng::seed_from_u64(seed), 3 * SIDE * SIDE, 1.0)
}

fn embedding(encoder: &Encoder, image: &[f32]) -> Vec<f32> {
    let images = Tensor::<4>::from_data(TensorData::new(image.to_vec(), [1, 3, SIDE, SIDE]), &Device::flex());
    encoder.forward(images).into_data().iter::<f32>().collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

fn tunings() -> Vec<(VitConfig, Tuning)> {
    let adapter =
        |placement, norm| Some(AdapterConfig { bottleneck: 6, blocks: 2, placement, norm, init: AdapterInit::Bert });
    let prompts = |step| Some(PromptSchedule { count: 5, depth: 3, step });
    let (parallel, sequential) = (AdapterPlacement::Parallel, AdapterPlacement::Sequential);
    vec![
        (config(), Tuning::default()),
        (VitConfig { qkv_bias: false, layer_scale: true, distilled: true, ..config() }, Tuning::default()),
        (config(), Tuning { embedding: Some(10), prompts: prompts(2), ..Tuning::default() }),
        (config(), Tuning { embedding: Some(10), adapter: adapter(parallel, AdapterNorm::Pre), ..Tuning::default() }),
        (
            config(),
            Tuning { embedding: Some(10), adapter: adapter(sequential, AdapterNorm::Post), ..Tuning::default() },
        ),
        (
            VitConfig { registers: 2, class_position: false, rotary_theta: Some(100.0), gated_mlp: true, ..config() },
            Tuning { prompts: prompts(1), ..Tuning::default() },
        ),
        (
            VitConfig { activation: Activation::QuickGelu, norm_pre: true, patch_bias: false, ..config() },
            Tuning { embedding: Some(9), ..Tuning::default() },
        ),
        (
            VitConfig { class_token: false, attention_pool: true, activation: Activation::GeluTanh, ..config() },
            Tuning { pooling: Some(Pooling::Map), embedding: Some(9), prompts: prompts(0), ..Tuning::default() },
        ),
        (
            VitConfig { distilled: true, ..config() },
            Tuning { embedding: Some(7), prompts: prompts(0), pooling: Some(Pooling::Avg), ..Tuning::default() },
        ),
    ]
}

#[test]
fn parts_sum_to_embedding_and_similarity() {
    let (a, b) = (image(1), image(2));
    for (config, tuning) in tunings() {
        let encoder = Encoder::from_source(&mut noise(""), &config, &tuning);
        let (of_a, of_b) = (trace(&encoder, &a).unwrap(), trace(&encoder, &b).unwrap());
        let expected = embedding(&encoder, &a);
        let size = expected.len();
        for (column, expected) in expected.iter().enumerate() {
            let patches: f32 = of_a.patches.iter().skip(column).step_by(size).sum();
            let rest: f32 = of_a.rest.iter().map(|rest| rest.part[column]).sum();
            assert!((patches + rest - expected).abs() < 2e-5, "{tuning:?}, column {column}");
        }
        let evidence = of_a.evidence(&of_b);
        assert!((evidence.similarity - dot(&expected, &embedding(&encoder, &b))).abs() < 2e-5, "{tuning:?}");
        let pairs: f64 = evidence.patches.iter().map(|part| f64::from(*part)).sum();
        assert!((pairs + evidence.rest - evidence.similarity).abs() < 1e-9);
        // The parts of each image alone, and the similarity of their rest with the whole of the other.
        for (mine, other, from) in [(&of_a, &of_b, &evidence.from_first), (&of_b, &of_a, &evidence.from_second)] {
            let from: f64 = from.iter().map(|part| f64::from(*part)).sum();
            let rest: f64 = mine.rest.iter().map(|rest| dot(&rest.part, &other.embedding)).sum();
            assert!((from + rest - evidence.similarity).abs() < 2e-5, "{tuning:?}");
        }
    }
}

#[test]
fn attention_is_a_share_of_everything_there_is_to_read() {
    for (config, tuning) in tunings() {
        let encoder = Encoder::from_source(&mut noise(""), &config, &tuning);
        let trace = trace(&encoder, &image(3)).unwrap();
        let pools = usize::from(tuning.pooling == Some(Pooling::Map));
        assert_eq!(trace.attention.len(), config.depth + pools);
        for (block, map) in trace.attention.iter().enumerate() {
            let sum: f32 = map.patches.iter().chain(&map.special).chain(&map.prompts).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{tuning:?}: {sum}");
            let prompts = tuning.prompts.filter(|_| block < config.depth);
            assert_eq!(map.prompts.len(), prompts.map_or(0, |schedule| schedule.in_block(block)));
            assert_eq!((map.patches.len(), map.heads.len()), (GRID * GRID, config.heads));
            assert!(map.relative().iter().all(|share| (0.0..=1.0).contains(share)));
        }
        assert_eq!(trace.last_attention(), Some(&explain::attention(&encoder, &image(3)).unwrap()));
    }
}

#[test]
fn one_block_without_a_feed_forward_half_is_its_attention() {
    // x + attention, and no mlp: a patch's part before the norm is a_i W_o W_v (norm1(x_i) - b).
    let config = VitConfig { depth: 1, ..config() };
    let encoder = Encoder::from_source(&mut noise("mlp"), &config, &Tuning::default());
    let trace = trace(&encoder, &image(4)).unwrap();
    let block = &encoder.backbone.blocks[0];
    let pixels = Tensor::<4>::from_data(TensorData::new(image(4), [1, 3, SIDE, SIDE]), &Device::flex());
    let tokens = encoder.embed_tokens(pixels);
    let after = block.forward_composed(tokens.clone(), None).narrow(1, 0, 1).squeeze_dim::<2>(1);
    let normed = block.norm1.forward(tokens) - block.norm1.bias.val().unsqueeze::<3>();
    let (weights, _) = block.attn.weights_and_values(normed.clone() + block.norm1.bias.val().unsqueeze::<3>(), 0);
    let values = block.attn.qkv.weight.val().narrow(0, 48, 24).transpose();
    for patch in [0usize, 5, 15] {
        let heads: Vec<Tensor<2>> = (0..3)
            .map(|head| {
                let value = normed.clone().narrow(1, patch + 1, 1).squeeze_dim::<2>(1).matmul(values.clone());
                let weight = weights.clone().narrow(1, head, 1).narrow(2, 0, 1).narrow(3, patch + 1, 1).reshape([1, 1]);
                value.narrow(1, head * 8, 8) * weight
            })
            .collect();
        let part = Tensor::cat(heads, 1).matmul(block.attn.proj.weight.val().transpose());
        // The final norm with the deviation of the whole token, then unit length.
        let spread = after.clone() - after.clone().mean_dim(1);
        let deviation = (spread.square().mean_dim(1) + config.layer_norm_eps).sqrt();
        let centerd = part.clone() - part.mean_dim(1);
        let expected = centerd / deviation * encoder.backbone.norm.weight.val().unsqueeze::<2>();
        let length = encoder.backbone.norm.forward(after.clone()).square().sum_dim(1).sqrt();
        let expected: Vec<f32> = (expected / length).into_data().iter::<f32>().collect();
        let found = &trace.patches[patch * 24..(patch + 1) * 24];
        let difference = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "patch {patch}: {difference}");
    }
}

#[test]
fn evidence_does_not_depend_on_the_order_of_the_images() {
    let (config, tuning) = tunings().remove(2);
    let encoder = Encoder::from_source(&mut noise(""), &config, &tuning);
    let forth = explain::evidence(&encoder, &image(5), &image(6)).unwrap();
    let back = explain::evidence(&encoder, &image(6), &image(5)).unwrap();
    let n = GRID * GRID;
    for i in 0..n {
        for j in 0..n {
            assert_eq!(forth.patches[i * n + j], back.patches[j * n + i]);
            assert_eq!(forth.correspondence[i * n + j], back.correspondence[j * n + i]);
        }
    }
    assert_eq!(forth.from_first, back.from_second);
    let itself = explain::evidence(&encoder, &image(5), &image(5)).unwrap();
    assert!((itself.similarity - 1.0).abs() < 1e-5);
    assert!((0..n).all(|i| (itself.correspondence[i * n + i] - 1.0).abs() < 1e-5));
}

#[test]
fn what_is_bright_matters_more_than_what_is_dim() {
    // The built-in backbone on pairs of drawn butterflies: painting over the quarter of the patches with the most
    // evidence costs more similarity than painting over the quarter with the least.
    let backbone = Backbone::open("kinsight_nano", None).unwrap();
    let encoder = Encoder::bare(&backbone, None, &Device::flex()).unwrap();
    let transform = EvalTransform::new(backbone.preprocess).unwrap();
    let side = backbone.config.image_size;
    let seen = |species: u32, instance: u32| {
        let mut values = vec![0.0; 3 * side * side];
        let picture = render(6 * species, instance, 21, side as u32).unwrap();
        transform.apply(&picture, &mut Scratch::default(), &mut values).unwrap();
        values
    };
    let (grid, patch) = (backbone.config.grid(), backbone.config.patch_size);
    let without = |image: &[f32], patches: &[usize]| {
        let mut image = image.to_vec();
        for (place, value) in image.iter_mut().enumerate() {
            let (row, column) = (place / side % side / patch, place % side / patch);
            if patches.contains(&(row * grid + column)) {
                *value = 0.0;
            }
        }
        image
    };
    let (mut bright, mut dim) = (0.0, 0.0);
    for species in 0..4 {
        let (a, b) = (seen(species, 0), seen(species, 1));
        let evidence = explain::evidence(&encoder, &a, &b).unwrap();
        let mut order: Vec<usize> = (0..grid * grid).collect();
        order.sort_by(|x, y| evidence.from_first[*x].total_cmp(&evidence.from_first[*y]));
        let similarity = |patches: &[usize]| explain::evidence(&encoder, &without(&a, patches), &b).unwrap().similarity;
        dim += evidence.similarity - similarity(&order[..grid * grid / 4]);
        bright += evidence.similarity - similarity(&order[grid * grid * 3 / 4..]);
    }
    assert!(bright > dim, "painting over the bright costs {bright:.3}, over the dim {dim:.3}");
}

#[test]
fn images_of_another_size_are_refused() {
    let encoder = Encoder::from_source(&mut noise(""), &config(), &Tuning::default());
    let error = trace(&encoder, &[0.0; 12]).unwrap_err();
    assert!(matches!(error, ModelError::Input { .. }));
    assert_eq!(error.to_string(), "images have shape 12 values, expected [3, 16, 16]");
}
