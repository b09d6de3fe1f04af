//! The one seam between a transformer block and how it is computed.

mod fused;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

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
    /// All activations the backward needs.
    #[default]
    None,
    /// Only the block's input; the backward computes the block again (fused engine).
    Block,
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
    block.mlp.activation == Activation::Gelu && !block.mlp.gated && block.attn.rotary.is_none()
}
