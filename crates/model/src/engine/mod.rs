//! The one seam between a transformer block and how it is computed.

mod fused;

use burn::tensor::{Device, Tensor};
pub use kinsight_kernels::release_idle_memory;
use serde::{Deserialize, Serialize};

pub(crate) use fused::PackedWeights;

use crate::prompts::PromptRows;
use crate::vit::{Activation, Block};

/// Which implementation of the block runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The fused kernel on the CPU back end, composed operations on every other and for blocks it does not know.
    #[default]
    Fused,
    /// Composed tensor operations everywhere.
    Composed,
}

/// Arithmetic of the matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16 operands, 32-bit accumulation (fused engine).
    Bf16,
}

/// What is kept of a block between forward and backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpoint {
    /// `None` or `Mlp` by the size of the batch: `Mlp` where a block's hidden layer holds over [`Checkpoint::LARGE`]
    /// numbers. The result is the same, bit for bit.
    #[default]
    Auto,
    /// All activations the backward needs.
    None,
    /// All but the MLP's hidden layer, which the backward computes again (fused engine).
    Mlp,
    /// Only the block's input; the backward computes the block again (fused engine).
    Block,
}

impl Checkpoint {
    /// Numbers (images times tokens times hidden size) from which recomputing a hidden layer is worth its sixth of the
    /// products: 32 MiB a block in f32. ViT-S/16 passes it with 28 images, ViT-B/16 with 14.
    pub const LARGE: usize = 8 << 20;

    /// `Auto` decided for a block whose hidden layer holds `hidden` numbers.
    pub fn for_hidden(self, hidden: usize) -> Self {
        match self {
            Self::Auto if hidden > Self::LARGE => Self::Mlp,
            Self::Auto => Self::None,
            decided => decided,
        }
    }
}

/// How blocks are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Fused or composed.
    pub engine: Engine,
    /// f32 or bf16.
    pub precision: Precision,
    /// Memory against recomputation.
    pub checkpoint: Checkpoint,
}

/// Whether `compute` asks for the fused block and `device` has it.
pub(crate) fn fused_runs(compute: Compute, device: &Device) -> bool {
    compute.engine == Engine::Fused && fused::runs_on(device)
}

/// Runs `block` by the engine that `compute` and the device of `x` call for; the first `outputs` tokens come out.
pub(crate) fn block_forward(
    block: &Block,
    x: Tensor<3>,
    prompts: Option<PromptRows>,
    outputs: usize,
    compute: Compute,
) -> Tensor<3> {
    if fuses(block) && fused_runs(compute, &x.device()) {
        return fused::forward(block, x, prompts, outputs, compute);
    }
    let tokens = x.dims()[1];
    let y = block.forward_composed(x, prompts);
    if outputs == tokens { y } else { y.narrow(1, 0, outputs) }
}

/// Whether the fused kernel computes blocks of this kind; see `VitConfig::runs_fused`.
pub(crate) fn fuses(block: &Block) -> bool {
    !block.needs_composed()
        && block.mlp.activation == Activation::Gelu
        && !block.mlp.gated
        && block.attn.rotary.is_none()
}

/// Projects the patches of `images` `[B, 3, H, W]` to tokens `[B, N, D]` on the CPU back end; elsewhere, composed, without
/// a bias, or where images need a gradient, `None`: the caller composes it from tensor operations.
pub(crate) fn patch_projection(
    images: &Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    compute: Compute,
) -> Option<Tensor<3>> {
    let fits = compute.engine == Engine::Fused && fused::runs_on(&images.device()) && !images.is_require_grad();
    let call = fused::patches::PatchCall { patch: weight.dims()[2], precision: fused::precision(compute) };
    bias.filter(|_| fits).map(|bias| fused::patches::project(images.clone(), weight, bias, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_layers_are_computed_again_where_they_are_large() {
        let hidden = |images: usize, width: usize| images * 197 * 4 * width;
        let auto = |hidden| Checkpoint::default().for_hidden(hidden);
        assert_eq!(auto(hidden(16, 384)), Checkpoint::None);
        assert_eq!(auto(hidden(64, 384)), Checkpoint::Mlp);
        assert_eq!(auto(hidden(13, 768)), Checkpoint::None);
        assert_eq!(auto(hidden(14, 768)), Checkpoint::Mlp);
        for asked in [Checkpoint::None, Checkpoint::Mlp, Checkpoint::Block] {
            assert_eq!(asked.for_hidden(usize::MAX), asked);
        }
    }
}
