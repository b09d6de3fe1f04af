//! The fused CPU block bound into burn: one operation with a hand-written backward, on the flex back end.
//!
//! All tensors of a block go in together, in the order of the kernel's table. A gradient is computed for exactly those
//! that are in the graph.

mod inputs;
mod packed;
pub mod patches;
mod tensors;

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Tensor};
use kinsight_kernels::{BlockTensor, PerTensor, Saved, Wanted};

pub use self::packed::PackedWeights;

use self::inputs::{FlexTensor, Inputs, contiguous, numbers, tensor};
use self::tensors::{BlockCall, BlockTensors, gather};
use super::Compute;
use crate::prompts::PromptRows;
use crate::vit::Block;

/// The tensors that enter the operation: the block's input first, then those of the table.
const INPUTS: usize = 1 + BlockTensor::COUNT;

/// The operation; back ends other than flex never get it, see [`runs_on`].
#[backend_extension(Flex, Autodiff)]
pub trait FusedBlock: Backend {
    /// The block with input `x` `[B, N, D]`; the result is `[B, outputs, D]`.
    fn fused_block(
        x: FloatTensor<Self>,
        #[extension_type] tensors: BlockTensors<Self>,
        call: BlockCall,
    ) -> FloatTensor<Self>;
}

/// Whether the fused operation exists for tensors on `device`.
pub fn runs_on(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
}

/// Runs `block` fused; the first `outputs` tokens come out.
pub fn forward(
    block: &Block,
    x: Tensor<3>,
    prompts: Option<PromptRows>,
    outputs: usize,
    compute: Compute,
) -> Tensor<3> {
    let (tensors, call) = gather(block, prompts, outputs, compute, &x.device());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_block(x.into_dispatch(), tensors, call))
}

impl FusedBlock for Flex {
    fn fused_block(x: FlexTensor, BlockTensors(tensors): BlockTensors<Self>, call: BlockCall) -> FlexTensor {
        Inputs::new(x, tensors, call, &Wanted::default(), false).forward(None).0
    }
}

/// What passes from forward to backward.
#[derive(Clone)]
struct State(Arc<(Inputs, Saved)>);

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

#[derive(Debug)]
struct BlockBackward;

impl Backward<Flex, INPUTS> for BlockBackward {
    type State = State;

    fn backward(self, ops: Ops<State, INPUTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(grads.consume::<Flex>(&ops.node));
        let (inputs, saved) = &*ops.state.0;
        let [of_x, of_tensors @ ..] = &ops.parents;
        let wanted = Wanted::from_fn(|tensor| of_tensors[tensor as usize].is_some());
        let mut d_x = of_x.as_ref().map(|_| vec![0.0; numbers(&inputs.x).len()]);
        let computed = inputs.backward(saved, numbers(&d_out), &wanted, d_x.as_deref_mut());
        if let (Some(parent), Some(d_x)) = (of_x, d_x) {
            grads.register::<Flex>(parent.id, tensor(d_x, inputs.x.shape()));
        }
        for ((parent, values), (_, input)) in of_tensors.iter().zip(computed.into_values()).zip(inputs.tensors.iter()) {
            if let (Some(parent), Some(values)) = (parent, values) {
                grads.register::<Flex>(parent.id, tensor(values, input.shape()));
            }
        }
    }
}

impl<C: CheckpointStrategy> FusedBlock for Autodiff<Flex, C> {
    fn fused_block(
        x: FloatTensor<Self>,
        BlockTensors(tensors): BlockTensors<Self>,
        call: BlockCall,
    ) -> FloatTensor<Self> {
        let wanted = PerTensor::from_fn(|tensor| tensors[tensor].is_tracked());
        let training = x.is_tracked() || wanted.any(BlockTensor::ALL);
        // The nodes must be taken before the primitives.
        let nodes: [_; INPUTS] = std::array::from_fn(|i| match i {
            0 => x.node(),
            i => tensors[BlockTensor::ALL[i - 1]].node(),
        });
        let prepared = BlockBackward.prepare::<C>(nodes).compute_bound().stateful();
        let tensors = tensors.map(|tensor| tensor.into_primitive());
        let inputs = Inputs::new(x.into_primitive(), tensors, call, &wanted, training);
        match prepared {
            OpsKind::Tracked(prepared) => {
                let (out, saved) = inputs.forward(Some(&wanted));
                #[expect(clippy::expect_used, reason = "a forward with wanted gradients always saves")]
                let saved = saved.expect("saved activations");
                prepared.finish(State(Arc::new((inputs, saved))), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(inputs.forward(None).0),
        }
    }
}
