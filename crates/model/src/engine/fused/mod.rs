//! The fused CPU block bound into burn: one operation with a hand-written backward, on the flex back end.
//!
//! All tensors of a block go in together in the order of [`Role`]; those a block does not have are one-element
//! placeholders. A gradient is computed for exactly those that are in the graph.

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
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{Device, Tensor};
use kinsight_kernels::Saved;

pub use self::packed::PackedWeights;

use self::inputs::{FlexTensor, Inputs, by_role, tensor, wanted};
pub use self::tensors::precision;
use self::tensors::{BlockCall, BlockTensors, ROLES, Role, gather};
use super::Compute;
use crate::prompts::PromptRows;
use crate::vit::Block;

/// The operation; back ends other than flex never get it, see [`runs_on`].
#[backend_extension(Flex, Autodiff)]
pub trait FusedBlock: Backend {
    /// The block with input `x` `[B, N, D]`; the result is `[B, outputs, D]`.
    fn fused_block(
        x: FloatTensor<Self>,
        #[extension_type] others: BlockTensors<Self>,
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
    let (others, call) = gather(block, prompts, [x.dims()[0], outputs], compute, &x.device());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_block(x.into_dispatch(), others, call))
}

impl FusedBlock for Flex {
    fn fused_block(x: FlexTensor, others: BlockTensors<Self>, call: BlockCall) -> FlexTensor {
        Inputs::new(x, others.into_list(), call, &[false; ROLES]).forward(None).0
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

impl Backward<Flex, ROLES> for BlockBackward {
    type State = State;

    fn backward(self, ops: Ops<State, ROLES>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_out = grads.consume::<Flex>(&ops.node);
        let d_out = if d_out.as_slice::<f32>().is_some() { d_out } else { d_out.to_contiguous() };
        let (inputs, saved) = &*ops.state.0;
        let tracked = ops.parents.each_ref().map(Option::is_some);
        let wanted = wanted(&tracked);
        let mut d_x = vec![0.0; if tracked[Role::Input as usize] { inputs.slice(Role::Input).len() } else { 0 }];
        let d_x_wanted = tracked[Role::Input as usize].then_some(&mut d_x[..]);
        #[expect(clippy::expect_used, reason = "made contiguous above")]
        let d_out = d_out.as_slice::<f32>().expect("contiguous f32 tensor");
        let computed = inputs.backward(saved, d_out, &wanted, d_x_wanted);
        let mut register = |role: Role, values: Vec<f32>| {
            if let Some(parent) = &ops.parents[role as usize] {
                grads.register::<Flex>(parent.id, tensor(values, inputs.shape(role)));
            }
        };
        register(Role::Input, d_x);
        for (role, values) in by_role(computed) {
            if let Some(values) = values {
                register(role, values);
            }
        }
    }
}

impl<C: CheckpointStrategy> FusedBlock for Autodiff<Flex, C> {
    fn fused_block(x: FloatTensor<Self>, others: BlockTensors<Self>, call: BlockCall) -> FloatTensor<Self> {
        let others = others.into_list();
        let of = |role: usize| if role == 0 { &x } else { &others[role - 1] };
        let tracked: [bool; ROLES] = std::array::from_fn(|role| of(role).is_tracked());
        // The nodes must be taken before the primitives.
        let nodes: [_; ROLES] = std::array::from_fn(|role| of(role).node());
        let prepared = BlockBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = Inputs::new(x.into_primitive(), others.map(|tensor| tensor.into_primitive()), call, &tracked);
        match prepared {
            OpsKind::Tracked(prepared) => {
                let (out, saved) = inputs.forward(Some(&wanted(&tracked)));
                #[expect(clippy::expect_used, reason = "a forward with wanted gradients always saves")]
                let saved = saved.expect("saved activations");
                prepared.finish(State(Arc::new((inputs, saved))), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(inputs.forward(None).0),
        }
    }
}
