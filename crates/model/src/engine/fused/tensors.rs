//! A call of the fused block: its tensors by the kernel's table, and everything about it that is not a tensor.

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, ExtensionType,
};
use burn::tensor::{Device, Tensor};
use kinsight_kernels::{AdapterNorm, AdapterPlacement, BlockTensor, Checkpoint, PerTensor, Precision, Wanted};

use super::packed::PackedWeights;
use crate::engine::{Compute, TakeTensor, small_tensors};
use crate::prompts::PromptRows;
use crate::vit::Block;

/// Everything about a call that is not a tensor.
#[derive(Clone, Debug)]
pub struct BlockCall {
    pub heads: usize,
    pub eps: f32,
    pub outputs: usize,
    pub precision: Precision,
    pub checkpoint: Checkpoint,
    pub has: Wanted,
    pub prompts_per_image: bool,
    pub adapter: Option<(AdapterPlacement, AdapterNorm)>,
    pub packed: PackedWeights,
}

/// The tensors of a block; those it does not have are placeholders of one element.
pub struct BlockTensors<B: Backend>(pub PerTensor<FloatTensor<B>>);

/// What burn's derive writes for a struct of tensors, for a table of them.
impl<B: Backend> ExtensionType<B> for BlockTensors<B> {
    type Target = BlockTensors<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        BlockTensors(self.0.map(|tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff }))
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.map(|tensor| unwrap_kind(tensor).float()))
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        Some(&target.0[BlockTensor::Norm1Weight])
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        Self::routing_tensor(target)
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        target.0.iter().fold(DispatchAutodiffContext::Disabled, |context, (_, tensor)| context.merge(tensor.autodiff))
    }
}

/// The tensors of `block` and `prompts`, and the call that fits them.
pub fn gather(
    block: &Block,
    prompts: Option<PromptRows>,
    outputs: usize,
    compute: Compute,
    device: &Device,
) -> (BlockTensors<Dispatch>, BlockCall) {
    let placeholder = Tensor::<1>::zeros([1], &device.clone().without_autodiff()).into_dispatch();
    let mut list = TensorList { tensors: PerTensor::from_fn(|_| placeholder.clone()), has: Wanted::default() };
    let prompts_per_image = matches!(prompts, Some(PromptRows::PerImage(_)));
    small_tensors(block, prompts, &mut list);
    for (matrix, layer) in BlockTensor::MATRICES.into_iter().zip(block.layers()) {
        list.take(matrix, layer.folded_weight());
    }
    let call = BlockCall {
        heads: block.attn.heads,
        eps: block.norm1.eps as f32,
        outputs,
        precision: compute.precision,
        checkpoint: compute.checkpoint,
        has: list.has,
        prompts_per_image,
        adapter: block.adapter.as_ref().map(|adapter| (adapter.placement, adapter.norm)),
        packed: block.packed.clone(),
    };
    (BlockTensors(list.tensors), call)
}

/// The list under construction.
struct TensorList {
    tensors: PerTensor<FloatTensor<Dispatch>>,
    has: Wanted,
}

impl TakeTensor for TensorList {
    fn take<const R: usize>(&mut self, tensor: BlockTensor, value: Tensor<R>) {
        self.tensors[tensor] = value.into_dispatch();
        self.has[tensor] = true;
    }
}
