//! Multi-head self-attention with one projection to queries, keys and values.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::config::VitConfig;
use super::linear::Linear;
use super::rotary::Rotary;
use crate::parameters::ParameterSource;

/// timm's `Attention`.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[3D, D]`: queries, keys and values, each split into heads.
    pub qkv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    /// Number of heads H.
    #[module(skip)]
    pub heads: usize,
    /// Positions that turn queries and keys, where positions are rotary.
    #[module(skip)]
    pub rotary: Option<Rotary>,
}

impl Attention {
    /// Reads `name.qkv` and `name.proj`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, config: &VitConfig) -> Self {
        let width = config.width;
        Self {
            qkv: Linear::from_source(source, &format!("{name}.qkv"), width, 3 * width, config.qkv_bias),
            proj: Linear::from_source(source, &format!("{name}.proj"), width, width, true),
            heads: config.heads,
            rotary: Rotary::of(config),
        }
    }

    /// `softmax(Q Kᵀ / sqrt(D/H)) V`, composed from tensor operations; the first `prompts` tokens are prompts.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>, prompts: usize) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let (weights, values) = self.weights_and_values(x, prompts);
        let mixed = weights.matmul(values); // [B, H, N, D/H]
        self.proj.forward(mixed.swap_dims(1, 2).reshape([batch, tokens, width]))
    }

    /// `softmax(Q Kᵀ / sqrt(D/H))` and `V`: how much each token reads from each other, and what there is to read.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, H, N, N]` (rows sum to one) and `[B, H, N, D/H]`
    pub fn weights_and_values(&self, x: Tensor<3>, prompts: usize) -> (Tensor<4>, Tensor<4>) {
        let [batch, tokens, width] = x.dims();
        let head_dim = width / self.heads;
        let qkv = self.qkv.forward(x).reshape([batch, tokens, 3, self.heads, head_dim]).permute([2, 0, 3, 1, 4]); // [3, B, H, N, D/H]
        let [q, k, v] = [0, 1, 2].map(|i| qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let [q, k] = match &self.rotary {
            None => [q, k],
            Some(rotary) => [q, k].map(|x| rotary.turn(x, prompts)),
        };
        let scores = q.mul_scalar((head_dim as f64).powf(-0.5)).matmul(k.swap_dims(2, 3));
        (activation::softmax(scores, 3), v)
    }
}
