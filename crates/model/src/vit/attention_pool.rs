//! Attention pooling (SigLIP's "map" head): a learned query looks at all tokens, and an MLP follows.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use super::config::VitConfig;
use super::layer_norm::LayerNorm;
use super::linear::Linear;
use super::mlp::Mlp;
use crate::parameters::ParameterSource;

/// timm's `AttentionPoolLatent` with one latent.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// `[1, 1, D]`, the learned query before its projection.
    pub latent: Param<Tensor<3>>,
    /// `[D, D]`
    pub q: Linear,
    /// `[2D, D]`: keys and values.
    pub kv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    /// LayerNorm before the MLP.
    pub norm: LayerNorm,
    /// Added to what attention gave.
    pub mlp: Mlp,
    /// Number of heads H.
    #[module(skip)]
    pub heads: usize,
}

impl AttentionPool {
    /// Reads `name.{latent, q, kv, proj, norm, mlp}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, config: &VitConfig) -> Self {
        let width = config.width;
        Self {
            latent: source.parameter(&format!("{name}.latent"), [1, 1, width]),
            q: Linear::from_source(source, &format!("{name}.q"), width, width, true),
            kv: Linear::from_source(source, &format!("{name}.kv"), width, 2 * width, true),
            proj: Linear::from_source(source, &format!("{name}.proj"), width, width, true),
            norm: LayerNorm::from_source(source, &format!("{name}.norm"), width, config.layer_norm_eps),
            mlp: Mlp::from_source(source, &format!("{name}.mlp"), config),
            heads: config.heads,
        }
    }

    /// `x + mlp(norm(x))` with `x` the latent's attention over `tokens`.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, D]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = tokens.dims();
        let (weights, values) = self.weights_and_values(tokens);
        let mixed = weights.matmul(values); // [B, H, 1, D/H]
        let x = self.proj.forward(mixed.swap_dims(1, 2).reshape([batch, 1, width]));
        let pooled = x.clone() + self.mlp.forward(self.norm.forward(x));
        pooled.squeeze_dim::<2>(1)
    }

    /// How much the latent reads from each token, and what there is to read.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, H, 1, N]` (rows sum to one) and `[B, H, N, D/H]`
    pub fn weights_and_values(&self, tokens: Tensor<3>) -> (Tensor<4>, Tensor<4>) {
        let [batch, count, width] = tokens.dims();
        let head_dim = width / self.heads;
        let q = self.q.forward(self.latent.val()).reshape([1, self.heads, 1, head_dim]); // the same for every image
        let kv = self.kv.forward(tokens).reshape([batch, count, 2, self.heads, head_dim]).permute([2, 0, 3, 1, 4]);
        let [k, v] = [0, 1].map(|i| kv.clone().narrow(0, i, 1).squeeze_dim::<4>(0)); // [B, H, N, D/H]
        let q = q.mul_scalar((head_dim as f64).powf(-0.5)).expand([batch, self.heads, 1, head_dim]);
        (activation::softmax(q.matmul(k.swap_dims(2, 3)), 3), v)
    }
}
