//! Inverted dropout of a state, with a mask that is a function of seed and step.

use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Sets entries to zero with `probability`, and scales the others.
pub(super) fn drop_out(x: Tensor<2>, probability: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
    if probability <= 0.0 {
        return x;
    }
    let shape = x.dims();
    let kept = (1.0 / (1.0 - probability)) as f32;
    let mask: Vec<f32> =
        (0..shape[0] * shape[1]).map(|_| if rng.random::<f64>() < probability { 0.0 } else { kept }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}
