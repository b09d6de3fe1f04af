//! The one seam between a transformer block and how it is computed.

mod fused;

use burn::tensor::{Device, Tensor};
use kinsight_kernels::BlockTensor;
pub use kinsight_kernels::{Checkpoint, Precision, release_idle_memory};
use serde::{Deserialize, Serialize};

pub(crate) use fused::PackedWeights;

use crate::prompts::PromptRows;
use crate::vit::adapter::Adapter;
use crate::vit::{Activation, Attention, Block, Mlp};

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

/// How blocks are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Fused or composed.
    pub engine: Engine,
    /// f32, or bf16 (fused engine).
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

/// Takes the tensors of a block, one by one.
pub(crate) trait TakeTensor {
    /// Takes `tensor`.
    fn take<const R: usize>(&mut self, tensor: BlockTensor, value: Tensor<R>);
}

/// Hands `to` every tensor of `block` but the four matrices, with what is attached to its layers folded in; gradients
/// pass on from there.
pub(crate) fn small_tensors(block: &Block, prompts: Option<PromptRows>, to: &mut impl TakeTensor) {
    // Taken apart field by field, so that whatever a block learns to hold has to be thought of here.
    let Block { norm1, attn, ls1, norm2, mlp, ls2, adapter, packed: _ } = block;
    let Attention { qkv, proj, heads: _, rotary: _ } = attn;
    let Mlp { fc1, fc2, activation: _, gated: _ } = mlp;
    for (norm, weight, bias) in [
        (norm1, BlockTensor::Norm1Weight, BlockTensor::Norm1Bias),
        (norm2, BlockTensor::Norm2Weight, BlockTensor::Norm2Bias),
    ] {
        let folded = norm.folded();
        to.take(weight, folded.0);
        to.take(bias, folded.1);
    }
    for (layer, bias) in [
        (qkv, BlockTensor::QkvBias),
        (proj, BlockTensor::ProjBias),
        (fc1, BlockTensor::Fc1Bias),
        (fc2, BlockTensor::Fc2Bias),
    ] {
        if let Some(value) = layer.folded_bias() {
            to.take(bias, value);
        }
    }
    for (scale, gamma) in [(ls1, BlockTensor::Scale1), (ls2, BlockTensor::Scale2)] {
        if let Some(scale) = scale {
            to.take(gamma, scale.gamma.val());
        }
    }
    if let Some(Adapter { down_proj, up_proj, adapter_ln, placement: _, norm: _ }) = adapter {
        for (layer, weight, bias) in [
            (down_proj, BlockTensor::DownWeight, BlockTensor::DownBias),
            (up_proj, BlockTensor::UpWeight, BlockTensor::UpBias),
        ] {
            to.take(weight, layer.weight.val());
            if let Some(value) = &layer.bias {
                to.take(bias, value.val());
            }
        }
        to.take(BlockTensor::AdapterNormWeight, adapter_ln.weight.val());
        to.take(BlockTensor::AdapterNormBias, adapter_ln.bias.val());
    }
    match prompts {
        Some(PromptRows::Shared(rows)) => to.take(BlockTensor::Prompts, rows),
        Some(PromptRows::PerImage(rows)) => to.take(BlockTensor::Prompts, rows),
        None => {}
    }
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
    let call = fused::patches::PatchCall { patch: weight.dims()[2], precision: compute.precision };
    bias.filter(|_| fits).map(|bias| fused::patches::project(images.clone(), weight, bias, call))
}

#[cfg(test)]
mod tests {
    use kinsight_kernels::BlockDims;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::parameters::{RandomInit, inventory};
    use crate::vit::adapter::AdapterConfig;
    use crate::vit::config::VitConfig;

    /// Checkpoints, freezing, learning rates, exports and explanations know a block's tensors by the module tree, the kernels
    /// and what is built on them by the table.
    #[test]
    fn the_kernels_table_is_the_module_tree() {
        let config = VitConfig { layer_scale: true, ..VitConfig::new(32, 8, 12, 1, 3) };
        let adapter = AdapterConfig { bottleneck: 5, ..AdapterConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut source = RandomInit::new(&mut rng, &Device::flex());
        let block = Block::from_source(&mut source, "blocks.0", &config, Some(&adapter));
        let mut tree: Vec<_> = inventory(&block).into_iter().map(|p| (p.name, p.shape)).collect();
        tree.sort();
        let dims = BlockDims {
            batch: 1,
            tokens: 1,
            prompts: 2,
            outputs: 1,
            width: config.width,
            heads: config.heads,
            hidden: config.mlp_hidden,
            eps: 0.0,
        };
        let own = BlockTensor::ALL.iter().filter(|tensor| **tensor != BlockTensor::Prompts);
        let mut table: Vec<_> = own.map(|tensor| (tensor.name().to_string(), tensor.shape(&dims, 5))).collect();
        table.sort();
        assert_eq!(tree, table);
    }
}
