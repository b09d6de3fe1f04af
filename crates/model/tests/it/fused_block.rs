//! The fused block equals the composed one: output and every gradient, over random shapes and parts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::engine::{Checkpoint, Compute, Engine, Precision};
use kinsight_model::parameters::{MapByName, map_by_name, normal_values, set_trainable};
use kinsight_model::prompts::PromptRows;
use kinsight_model::vit::adapter::{AdapterConfig, AdapterInit, AdapterNorm, AdapterPlacement};
use kinsight_model::vit::{Block, config::VitConfig};
use proptest::prelude::*;

use crate::support::{Noise, repeatable};

/// One random block and batch.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    tokens: usize,
    outputs: usize,
    heads: usize,
    head_dim: usize,
    hidden: usize,
    qkv_bias: bool,
    layer_scale: bool,
    prompts: Option<(usize, bool)>,
    adapter: Option<(AdapterPlacement, AdapterNorm)>,
    trained: fn(&str) -> bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..4usize, 1..24usize, prop_oneof![Just(1usize), Just(2), Just(3), Just(8), Just(32)], 1..9usize);
    let parts = (any::<bool>(), any::<bool>(), proptest::option::of((1..7usize, any::<bool>())));
    let placement = prop_oneof![Just(AdapterPlacement::Parallel), Just(AdapterPlacement::Sequential)];
    let norm = prop_oneof![Just(AdapterNorm::Pre), Just(AdapterNorm::Post)];
    let trained: [fn(&str) -> bool; 4] =
        [|_| true, |name| name.contains("bias"), |name| name.contains("adapter"), |name| name.contains("weight")];
    let more = (proptest::option::of((placement, norm)), 0..4usize, 1..40usize, any::<u64>(), any::<bool>());
    (sizes, parts, more).prop_map(move |((batch, tokens, heads, head_dim), (qkv_bias, layer_scale, prompts), more)| {
        let (adapter, trained_by, hidden, seed, all) = more;
        Case {
            batch,
            tokens,
            outputs: if all { tokens } else { 1 },
            heads,
            // LayerNorm over a handful of numbers is too ill-conditioned to compare roundings.
            head_dim: head_dim + 16 / heads,
            hidden,
            qkv_bias,
            layer_scale,
            prompts,
            adapter,
            trained: trained[trained_by],
            seed,
        }
    })
}

/// Output and gradients by name, of `compute` on `case`.
fn run(case: &Case, compute: Compute) -> BTreeMap<String, Vec<f32>> {
    let device = Device::flex();
    let width = case.heads * case.head_dim;
    let mut noise = Noise::new(case.seed);
    let config = VitConfig {
        mlp_hidden: case.hidden,
        qkv_bias: case.qkv_bias,
        layer_scale: case.layer_scale,
        ..VitConfig::new(16, 8, width, 1, case.heads)
    };
    let adapter = case.adapter.map(|(placement, norm)| AdapterConfig {
        bottleneck: 3,
        blocks: 1,
        placement,
        norm,
        init: AdapterInit::Lora,
    });
    let block = Block::from_source(&mut noise, "blocks.0", &config, adapter.as_ref());
    let block = set_trainable(block, case.trained);
    let mut leaf = |shape: Vec<usize>| {
        let values = normal_values(&mut noise.rng, shape.iter().product(), 1.0);
        Tensor::<3>::from_data(TensorData::new(values, shape), &device).autodiff().require_grad()
    };
    let x = leaf(vec![case.batch, case.tokens, width]);
    let prompts = case.prompts.map(|(count, per_image)| {
        let images = if per_image { case.batch } else { 1 };
        (leaf(vec![images, count, width]), per_image)
    });
    let weights = leaf(vec![case.batch, case.outputs, width]).without_autodiff();
    let rows = prompts.clone().map(|(rows, per_image)| match per_image {
        true => PromptRows::PerImage(rows),
        false => PromptRows::Shared(rows.squeeze_dim::<2>(0)),
    });
    let y = block.forward(x.clone(), rows, case.outputs, compute);
    let gradients = (y.clone() * weights).sum().backward();

    let values = |tensor: Option<Tensor<3>>| tensor.map(|t| t.into_data().try_to_vec::<f32>().unwrap());
    let mut found = by_name(block, &gradients);
    found.insert("output".into(), y.into_data().try_to_vec::<f32>().unwrap());
    found.extend(values(x.grad(&gradients)).map(|g| ("x".to_string(), g)));
    found.extend(prompts.and_then(|(p, _)| values(p.grad(&gradients))).map(|g| ("prompts".to_string(), g)));
    found
}

fn by_name(block: Block, gradients: &Gradients) -> BTreeMap<String, Vec<f32>> {
    struct Collect<'a>(&'a Gradients, BTreeMap<String, Vec<f32>>);
    impl MapByName for Collect<'_> {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            if let Some(gradient) = tensor.grad(self.0) {
                self.1.insert(name.to_string(), gradient.into_data().try_to_vec::<f32>().unwrap());
            }
            tensor
        }
    }
    let mut collect = Collect(gradients, BTreeMap::new());
    map_by_name(block, &mut collect);
    collect.1
}

/// Largest difference in norm, relative to the largest gradient of the case: a gradient that is zero in truth, as that
/// of the key bias, is rounding noise in both.
fn compare(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>, tolerance: f64) -> Result<(), String> {
    let names = |map: &BTreeMap<String, Vec<f32>>| map.keys().cloned().collect::<Vec<_>>();
    if names(a) != names(b) {
        return Err(format!("different gradients: {:?} and {:?}", names(a), names(b)));
    }
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let scale = b.values().map(|values| norm(values) / (values.len() as f64).sqrt()).fold(0.0, f64::max);
    for (name, expected) in b {
        let difference: Vec<f32> = a[name].iter().zip(expected).map(|(x, y)| x - y).collect();
        let floor = 0.05 * scale * (expected.len() as f64).sqrt();
        let error = norm(&difference) / norm(expected).max(floor);
        if error.is_nan() || error > tolerance {
            return Err(format!("{name}: relative error {error:.1e}"));
        }
    }
    Ok(())
}

const COMPOSED: Compute = Compute { engine: Engine::Composed, precision: Precision::F32, checkpoint: Checkpoint::None };
const FUSED: Compute = Compute { engine: Engine::Fused, ..COMPOSED };

proptest! {
    #![proptest_config(repeatable(96))]

    #[test]
    fn fused_equals_composed(case in cases()) {
        let expected = run(&case, COMPOSED);
        compare(&run(&case, FUSED), &expected, 1e-5).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn checkpointing_changes_nothing(case in cases()) {
        let kept = run(&case, FUSED);
        for checkpoint in [Checkpoint::Mlp, Checkpoint::Block] {
            prop_assert_eq!(run(&case, Compute { checkpoint, ..FUSED }), kept.clone());
        }
    }
}

/// Packed weights are kept from call to call, and a block's clones share them: other weights must not meet the old ones.
#[test]
fn weights_that_change_are_packed_anew() {
    struct Shift(f64);
    impl MapByName for Shift {
        fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
            if name.ends_with("weight") { tensor + self.0 } else { tensor }
        }
    }
    let device = Device::flex().without_autodiff();
    let mut noise = Noise::new(5);
    let block = Block::from_source(&mut noise, "blocks.0", &VitConfig::new(16, 8, 24, 1, 3), None);
    let x =
        Tensor::<3>::from_data(TensorData::new(normal_values(&mut noise.rng, 2 * 5 * 24, 1.0), [2, 5, 24]), &device);
    let shifted = map_by_name(block.clone(), &mut Shift(0.05));
    for block in [&block, &shifted, &block, &block] {
        let output = |compute| {
            let y = block.forward(x.clone(), None, 5, compute);
            BTreeMap::from([("output".to_string(), y.into_data().try_to_vec::<f32>().unwrap())])
        };
        compare(&output(FUSED), &output(COMPOSED), 1e-5).unwrap();
    }
}

/// At the sizes of a real block: in tiny ones a few roundings decide a whole gradient.
#[test]
fn bf16_stays_near_f32() {
    for (seed, per_image) in [(1, false), (2, true), (3, false)] {
        let case = Case {
            batch: 4,
            tokens: 65,
            outputs: 65,
            heads: 3,
            head_dim: 64,
            hidden: 768,
            qkv_bias: true,
            layer_scale: false,
            prompts: Some((7, per_image)),
            adapter: None,
            trained: |_| true,
            seed,
        };
        let mut exact = run(&case, FUSED);
        let mut rough = run(&case, Compute { precision: Precision::Bf16, ..FUSED });
        // The true gradient of the key third of qkv.bias is zero.
        for map in [&mut exact, &mut rough] {
            map.get_mut("attn.qkv.bias").unwrap()[192..384].fill(0.0);
        }
        compare(&rough, &exact, 1e-2).unwrap();
    }
}
