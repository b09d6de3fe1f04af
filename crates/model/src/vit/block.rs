//! One transformer block, and the seam behind which it may be computed by a fused kernel.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::adapter::{Adapter, AdapterConfig, AdapterPlacement};
use super::attention::Attention;
use super::config::VitConfig;
use super::layer_norm::LayerNorm;
use super::linear::Linear;
use super::mlp::Mlp;
use crate::engine::{self, Compute, PackedWeights};
use crate::parameters::ParameterSource;
use crate::prompts::PromptRows;

/// Pre-norm block: `x += ls1(attn(norm1 x)); x += ls2(mlp(norm2 x))`.
#[derive(Module, Debug)]
pub struct Block {
    /// LayerNorm before attention.
    pub norm1: LayerNorm,
    /// Self-attention.
    pub attn: Attention,
    /// Scale of the attention branch.
    pub ls1: Option<LayerScale>,
    /// LayerNorm before the MLP.
    pub norm2: LayerNorm,
    /// Feed-forward half.
    pub mlp: Mlp,
    /// Scale of the MLP branch.
    pub ls2: Option<LayerScale>,
    /// Adapter, if this block has one.
    pub adapter: Option<Adapter>,
    /// The weights as the fused engine keeps them.
    #[module(skip)]
    pub(crate) packed: PackedWeights,
}

/// Learned per-channel scale of a residual branch (Touvron et al., CaiT, 2021).
#[derive(Module, Debug)]
pub struct LayerScale {
    /// `[D]`
    pub gamma: Param<Tensor<1>>,
}

impl Block {
    /// Reads the block called `name` (as `blocks.3`).
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        config: &VitConfig,
        adapter: Option<&AdapterConfig>,
    ) -> Self {
        let (width, eps) = (config.width, config.layer_norm_eps);
        let scale = |source: &mut _, part: &str| {
            config.layer_scale.then(|| LayerScale {
                gamma: ParameterSource::parameter(source, &format!("{name}.{part}.gamma"), [width]),
            })
        };
        Self {
            norm1: LayerNorm::from_source(source, &format!("{name}.norm1"), width, eps),
            attn: Attention::from_source(source, &format!("{name}.attn"), config),
            ls1: scale(source, "ls1"),
            norm2: LayerNorm::from_source(source, &format!("{name}.norm2"), width, eps),
            mlp: Mlp::from_source(source, &format!("{name}.mlp"), config),
            ls2: scale(source, "ls2"),
            adapter: adapter.map(|adapter| Adapter::from_source(source, &format!("{name}.adapter"), width, adapter)),
            packed: PackedWeights::default(),
        }
    }

    /// Runs the block with `prompts` put before the tokens; what they become is dropped.
    ///
    /// # Shapes
    /// `x` `[B, N, D]`, prompts `[P, D]` or `[B, P, D]`, result `[B, outputs, D]`: the first `outputs` tokens, since
    /// the last block can skip tokens that pooling ignores
    pub fn forward(&self, x: Tensor<3>, prompts: Option<PromptRows>, outputs: usize, compute: Compute) -> Tensor<3> {
        engine::block_forward(self, x, prompts, outputs, compute)
    }

    /// qkv, proj, fc1 and fc2, to which a fine-tuning may attach something.
    pub fn layers(&self) -> [&Linear; 4] {
        [&self.attn.qkv, &self.attn.proj, &self.mlp.fc1, &self.mlp.fc2]
    }

    /// The same, to change.
    pub fn layers_mut(&mut self) -> [&mut Linear; 4] {
        [&mut self.attn.qkv, &mut self.attn.proj, &mut self.mlp.fc1, &mut self.mlp.fc2]
    }

    /// Whether something attached to the block can only run composed.
    pub fn needs_composed(&self) -> bool {
        self.layers().into_iter().any(Linear::needs_composed)
    }

    /// The block composed from tensor operations: what runs on every back end, and the fused kernel's oracle.
    ///
    /// # Shapes
    /// `x` `[B, N, D]`, prompts `[P, D]` or `[B, P, D]`, result `[B, N, D]`
    pub fn forward_composed(&self, x: Tensor<3>, prompts: Option<PromptRows>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let (x, dropped) = match prompts {
            None => (x, 0),
            Some(prompts) => {
                let prompts = prompts.for_batch(batch);
                let count = prompts.dims()[1];
                (Tensor::cat(vec![prompts, x], 1), count)
            }
        };
        let x = x.clone() + scaled(&self.ls1, self.attn.forward(self.norm1.forward(x), dropped));
        let branch = scaled(&self.ls2, self.mlp.forward(self.norm2.forward(x.clone())));
        let y = match &self.adapter {
            None => x + branch,
            Some(adapter) => match adapter.placement {
                AdapterPlacement::Parallel => x.clone() + branch + adapter.forward(x),
                AdapterPlacement::Sequential => x + branch.clone() + adapter.forward(branch),
            },
        };
        if dropped == 0 { y } else { y.narrow(1, dropped, tokens) }
    }
}

fn scaled(scale: &Option<LayerScale>, branch: Tensor<3>) -> Tensor<3> {
    match scale {
        None => branch,
        Some(scale) => branch * scale.gamma.val().unsqueeze(),
    }
}
