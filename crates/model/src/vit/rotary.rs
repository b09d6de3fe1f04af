//! Rotary positions of patches (DINOv3): queries and keys are turned by angles that depend on where their patch lies.
//!
//! ```text
//! coordinates of patch (r, c) of a G x G grid:  y = 2 (r + 1/2) / G - 1,  x = 2 (c + 1/2) / G - 1
//! frequencies:  f_j = theta^(-4 j / d),  j < d/4,  d the width of a head
//! angles:       (2 pi y f_0, .., 2 pi y f_(d/4 - 1), 2 pi x f_0, ..), twice
//! turned:       v * cos(angles) + (-v_2, v_1) * sin(angles),  v_1 and v_2 the halves of v
//! ```
//! Siméoni et al., "DINOv3", 2025, as transformers computes it. Only patches are turned: class token, registers and
//! prompts have no place in the image. Differs from the source: positions are not jittered in training, because the
//! backbone is frozen.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::config::VitConfig;

/// Cosines and sines of every patch of an image.
#[derive(Clone, Debug)]
pub struct Rotary {
    special: usize,
    patches: usize,
    head_dim: usize,
    cos: Arc<Vec<f32>>,
    sin: Arc<Vec<f32>>,
}

impl Rotary {
    /// The table of `config`, if its positions are rotary.
    pub fn of(config: &VitConfig) -> Option<Self> {
        let theta = config.rotary_theta?;
        let (grid, head_dim) = (config.grid(), config.width / config.heads);
        let quarter = head_dim / 4;
        let mut angles = Vec::with_capacity(grid * grid * head_dim);
        for (row, column) in (0..grid * grid).map(|patch| (patch / grid, patch % grid)) {
            let half = [row, column].into_iter().flat_map(|cell| {
                let coordinate = 2.0 * (cell as f64 + 0.5) / grid as f64 - 1.0;
                (0..quarter)
                    .map(move |j| std::f64::consts::TAU * coordinate * theta.powf(-(4.0 * j as f64) / head_dim as f64))
            });
            let half: Vec<f64> = half.collect();
            angles.extend(half.iter().chain(&half).copied());
        }
        Some(Self {
            special: config.special_tokens(),
            patches: grid * grid,
            head_dim,
            cos: Arc::new(angles.iter().map(|angle| angle.cos() as f32).collect()),
            sin: Arc::new(angles.iter().map(|angle| angle.sin() as f32).collect()),
        })
    }

    /// Turns the patches of queries or keys; `prompts` tokens stand before the special ones.
    ///
    /// # Shapes
    /// `[B, H, N, d]` to `[B, H, N, d]`
    pub fn turn(&self, x: Tensor<4>, prompts: usize) -> Tensor<4> {
        let tokens = x.dims()[2];
        let (first, half) = (prompts + self.special, self.head_dim / 2);
        let table = |values: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, self.patches, self.head_dim]), &x.device())
        };
        let (cos, sin) = (table(&self.cos), table(&self.sin));
        let patches = x.clone().narrow(2, first, self.patches);
        let halves = [patches.clone().narrow(3, half, half).neg(), patches.clone().narrow(3, 0, half)];
        let turned = patches * cos + Tensor::cat(halves.to_vec(), 3) * sin;
        let after = first + self.patches;
        let mut parts = Vec::with_capacity(3);
        if first > 0 {
            parts.push(x.clone().narrow(2, 0, first));
        }
        parts.push(turned);
        if tokens > after {
            parts.push(x.narrow(2, after, tokens - after));
        }
        Tensor::cat(parts, 2)
    }

    /// Behind `prompts` prompts: the first patch, how many there are, and the width of a head.
    pub fn extent(&self, prompts: usize) -> (usize, usize, usize) {
        (prompts + self.special, self.patches, self.head_dim)
    }

    /// Cosines and sines, each `[patches, d]` row-major, for writing the same computation down elsewhere.
    pub fn tables(&self) -> (&[f32], &[f32]) {
        (&self.cos, &self.sin)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// What turning changes, token by token.
    fn turned(prompts: usize, tokens: usize) -> Vec<f32> {
        let config = VitConfig { registers: 1, rotary_theta: Some(100.0), ..VitConfig::new(16, 8, 16, 1, 2) };
        let values = (0..2 * tokens * 8).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<_>>();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 2, tokens, 8]), &Device::flex());
        let rotary = Rotary::of(&config).expect("rotary positions");
        (x.clone() - rotary.turn(x, prompts)).into_data().iter::<f32>().collect()
    }

    #[test]
    fn patches_alone_turn_wherever_prompts_put_them() {
        // 2 special tokens, 4 patches; prompts before, or two more tokens behind.
        for (prompts, tokens) in [(0, 6), (3, 9), (0, 8)] {
            for (token, change) in turned(prompts, tokens).chunks(8).enumerate() {
                let place = (token % tokens).checked_sub(prompts + 2);
                let is_patch = place.is_some_and(|place| place < 4);
                assert_eq!(change.iter().any(|v| v.abs() > 1e-3), is_patch, "token {token} of {tokens}");
            }
        }
    }
}
