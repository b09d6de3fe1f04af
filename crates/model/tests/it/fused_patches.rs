//! The fused patch projection equals the composed one: tokens and gradients, over random shapes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::engine::{Compute, Engine, Precision};
use kinsight_model::parameters::{normal_values, set_trainable};
use kinsight_model::vit::{PatchEmbed, config::VitConfig};
use proptest::prelude::*;

use crate::support::{Noise, repeatable};

/// Tokens, then the gradients of kernel and bias (empty where they do not train).
fn run(compute: Compute, batch: usize, grid: [usize; 2], patch: usize, trains: fn(&str) -> bool) -> [Vec<f32>; 3] {
    let device = Device::flex();
    let mut noise = Noise::new(7);
    let config = VitConfig::new(patch * grid[0], patch, 24, 1, 2);
    let embed = set_trainable(PatchEmbed::from_source(&mut noise, "patch_embed", &config), trains);
    let shape = [batch, 3, patch * grid[0], patch * grid[1]];
    let images = TensorData::new(normal_values(&mut noise.rng, shape.iter().product(), 1.0), shape);
    let tokens = embed.forward(Tensor::from_data(images, &device), compute);
    let weights = normal_values(&mut noise.rng, tokens.shape().num_elements(), 1.0);
    let weights = Tensor::<3>::from_data(TensorData::new(weights, tokens.dims()), &device);
    let gradients = (tokens.clone() * weights).sum().backward();
    let values = |data: Option<TensorData>| data.map(|data| data.try_to_vec::<f32>().unwrap()).unwrap_or_default();
    [
        values(Some(tokens.into_data())),
        values(embed.proj.weight.val().grad(&gradients).map(Tensor::into_data)),
        values(embed.proj.bias.unwrap().val().grad(&gradients).map(Tensor::into_data)),
    ]
}

fn compare(found: &[Vec<f32>; 3], expected: &[Vec<f32>; 3], tolerance: f64) {
    for (what, (found, expected)) in ["tokens", "kernel", "bias"].iter().zip(found.iter().zip(expected)) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
        assert!(difference <= tolerance * norm(&mut expected.iter().copied()), "{what}: {difference:e}");
    }
}

proptest! {
    #![proptest_config(repeatable(24))]

    #[test]
    fn fused_equals_composed(
        batch in 1usize..4, rows in 1usize..5, columns in 1usize..5, patch in 1usize..17, bias_alone in any::<bool>(),
    ) {
        let trains: fn(&str) -> bool = if bias_alone { |name| name.contains("bias") } else { |_| true };
        let with = |engine, precision| {
            run(Compute { engine, precision, ..Compute::default() }, batch, [rows, columns], patch, trains)
        };
        let expected = with(Engine::Composed, Precision::F32);
        prop_assert_eq!(expected[1].is_empty(), bias_alone);
        compare(&with(Engine::Fused, Precision::F32), &expected, 1e-5);
        compare(&with(Engine::Fused, Precision::Bf16), &expected, 1e-2);
    }
}
