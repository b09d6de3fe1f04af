//! The fused CPU block bound into burn: one operation with a hand-written backward, on the flex back end.
//!
//! All tensors of a block go in together in the order of [`Role`]; those a block does not have are one-element
//! placeholders. A gradient is computed for exactly those that are in the graph.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use kinsight_kernels::{
    AdapterNorm as KernelAdapterNorm, AdapterParams, AdapterPlacement as KernelPlacement, AdapterWanted, BlockDims,
    BlockGrads, BlockParams, Keep, LayerNormParams, LayerNormWanted, LinearParams, LinearWanted, Precision, Prompts,
    Saved, Wanted, block_backward, block_forward, block_forward_saving,
};

use super::{Checkpoint, Compute};
use crate::prompts::PromptRows;
use crate::vit::Block;
use crate::vit::adapter::{Adapter, AdapterNorm, AdapterPlacement};

/// Place of each tensor in the operation's list.
#[derive(Clone, Copy)]
enum Role {
    Input,
    Norm1Weight,
    Norm1Bias,
    QkvWeight,
    QkvBias,
    ProjWeight,
    ProjBias,
    Norm2Weight,
    Norm2Bias,
    Fc1Weight,
    Fc1Bias,
    Fc2Weight,
    Fc2Bias,
    Scale1,
    Scale2,
    Prompts,
    AdapterNormWeight,
    AdapterNormBias,
    DownWeight,
    DownBias,
    UpWeight,
    UpBias,
}

/// Number of roles.
const ROLES: usize = Role::UpBias as usize + 1;

/// Everything about a call that is not a tensor.
#[derive(Clone, Copy, Debug)]
pub struct BlockCall {
    heads: usize,
    eps: f32,
    outputs: usize,
    precision: Precision,
    keep: Keep,
    has: [bool; ROLES],
    prompts_per_image: bool,
    adapter: Option<(KernelPlacement, KernelAdapterNorm)>,
}

/// The tensors of a block in the order of [`Role`], its input left out. burn's extension takes a struct, not a list.
#[derive(ExtensionType)]
pub struct BlockTensors<B: Backend> {
    norm1_weight: FloatTensor<B>,
    norm1_bias: FloatTensor<B>,
    qkv_weight: FloatTensor<B>,
    qkv_bias: FloatTensor<B>,
    proj_weight: FloatTensor<B>,
    proj_bias: FloatTensor<B>,
    norm2_weight: FloatTensor<B>,
    norm2_bias: FloatTensor<B>,
    fc1_weight: FloatTensor<B>,
    fc1_bias: FloatTensor<B>,
    fc2_weight: FloatTensor<B>,
    fc2_bias: FloatTensor<B>,
    scale1: FloatTensor<B>,
    scale2: FloatTensor<B>,
    prompts: FloatTensor<B>,
    adapter_norm_weight: FloatTensor<B>,
    adapter_norm_bias: FloatTensor<B>,
    down_weight: FloatTensor<B>,
    down_bias: FloatTensor<B>,
    up_weight: FloatTensor<B>,
    up_bias: FloatTensor<B>,
}

impl<B: Backend> BlockTensors<B> {
    fn from_list(list: [FloatTensor<B>; ROLES - 1]) -> Self {
        let [
            norm1_weight,
            norm1_bias,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            norm2_weight,
            norm2_bias,
            fc1_weight,
            fc1_bias,
            fc2_weight,
            fc2_bias,
            scale1,
            scale2,
            prompts,
            adapter_norm_weight,
            adapter_norm_bias,
            down_weight,
            down_bias,
            up_weight,
            up_bias,
        ] = list;
        Self {
            norm1_weight,
            norm1_bias,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            norm2_weight,
            norm2_bias,
            fc1_weight,
            fc1_bias,
            fc2_weight,
            fc2_bias,
            scale1,
            scale2,
            prompts,
            adapter_norm_weight,
            adapter_norm_bias,
            down_weight,
            down_bias,
            up_weight,
            up_bias,
        }
    }

    fn into_list(self) -> [FloatTensor<B>; ROLES - 1] {
        let Self {
            norm1_weight,
            norm1_bias,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            norm2_weight,
            norm2_bias,
            fc1_weight,
            fc1_bias,
            fc2_weight,
            fc2_bias,
            scale1,
            scale2,
            prompts,
            adapter_norm_weight,
            adapter_norm_bias,
            down_weight,
            down_bias,
            up_weight,
            up_bias,
        } = self;
        [
            norm1_weight,
            norm1_bias,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            norm2_weight,
            norm2_bias,
            fc1_weight,
            fc1_bias,
            fc2_weight,
            fc2_bias,
            scale1,
            scale2,
            prompts,
            adapter_norm_weight,
            adapter_norm_bias,
            down_weight,
            down_bias,
            up_weight,
            up_bias,
        ]
    }
}

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
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(inner.clone().inner(), DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns, reason = "reachable only with a GPU back end compiled in")]
        _ => false,
    }
}

/// Runs `block` fused; the first `outputs` tokens come out.
pub fn forward(
    block: &Block,
    x: Tensor<3>,
    prompts: Option<PromptRows>,
    outputs: usize,
    compute: Compute,
) -> Tensor<3> {
    let device = x.device();
    let mut list = TensorList::new(&device);
    list.put(Role::Norm1Weight, block.norm1.weight.val());
    list.put(Role::Norm1Bias, block.norm1.bias.val());
    list.put(Role::QkvWeight, block.attn.qkv.weight.val());
    list.put_optional(Role::QkvBias, block.attn.qkv.bias.as_ref().map(|p| p.val()));
    list.put(Role::ProjWeight, block.attn.proj.weight.val());
    list.put_optional(Role::ProjBias, block.attn.proj.bias.as_ref().map(|p| p.val()));
    list.put(Role::Norm2Weight, block.norm2.weight.val());
    list.put(Role::Norm2Bias, block.norm2.bias.val());
    list.put(Role::Fc1Weight, block.mlp.fc1.weight.val());
    list.put_optional(Role::Fc1Bias, block.mlp.fc1.bias.as_ref().map(|p| p.val()));
    list.put(Role::Fc2Weight, block.mlp.fc2.weight.val());
    list.put_optional(Role::Fc2Bias, block.mlp.fc2.bias.as_ref().map(|p| p.val()));
    list.put_optional(Role::Scale1, block.ls1.as_ref().map(|scale| scale.gamma.val()));
    list.put_optional(Role::Scale2, block.ls2.as_ref().map(|scale| scale.gamma.val()));
    let prompts_per_image = matches!(prompts, Some(PromptRows::PerImage(_)));
    match prompts {
        Some(PromptRows::Shared(rows)) => list.put(Role::Prompts, rows),
        Some(PromptRows::PerImage(rows)) => list.put(Role::Prompts, rows),
        None => {}
    }
    if let Some(adapter) = &block.adapter {
        list.put_adapter(adapter);
    }
    let call = BlockCall {
        heads: block.attn.heads,
        eps: block.norm1.eps as f32,
        outputs,
        precision: match compute.precision {
            super::Precision::F32 => Precision::F32,
            super::Precision::Bf16 => Precision::Bf16,
        },
        keep: match compute.checkpoint {
            Checkpoint::None => Keep::All,
            Checkpoint::Block => Keep::InputsOnly,
        },
        has: list.has,
        prompts_per_image,
        adapter: block.adapter.as_ref().map(|adapter| {
            let placement = match adapter.placement {
                AdapterPlacement::Parallel => KernelPlacement::Parallel,
                AdapterPlacement::Sequential => KernelPlacement::Sequential,
            };
            let norm = match adapter.norm {
                AdapterNorm::Pre => KernelAdapterNorm::Pre,
                AdapterNorm::Post => KernelAdapterNorm::Post,
            };
            (placement, norm)
        }),
    };
    let others = BlockTensors::from_list(list.tensors);
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_block(x.into_dispatch(), others, call))
}

/// The list under construction.
struct TensorList {
    tensors: [FloatTensor<Dispatch>; ROLES - 1],
    has: [bool; ROLES],
}

impl TensorList {
    fn new(device: &Device) -> Self {
        let placeholder = Tensor::<1>::zeros([1], &device.clone().without_autodiff()).into_dispatch();
        Self { tensors: std::array::from_fn(|_| placeholder.clone()), has: [false; ROLES] }
    }

    fn put<const R: usize>(&mut self, role: Role, tensor: Tensor<R>) {
        self.tensors[role as usize - 1] = tensor.into_dispatch();
        self.has[role as usize] = true;
    }

    fn put_optional<const R: usize>(&mut self, role: Role, tensor: Option<Tensor<R>>) {
        if let Some(tensor) = tensor {
            self.put(role, tensor);
        }
    }

    fn put_adapter(&mut self, adapter: &Adapter) {
        self.put(Role::AdapterNormWeight, adapter.adapter_ln.weight.val());
        self.put(Role::AdapterNormBias, adapter.adapter_ln.bias.val());
        self.put(Role::DownWeight, adapter.down_proj.weight.val());
        self.put_optional(Role::DownBias, adapter.down_proj.bias.as_ref().map(|p| p.val()));
        self.put(Role::UpWeight, adapter.up_proj.weight.val());
        self.put_optional(Role::UpBias, adapter.up_proj.bias.as_ref().map(|p| p.val()));
    }
}

type FlexTensor = FloatTensor<Flex>;

/// The inputs of a call on flex, contiguous.
struct Inputs {
    tensors: Vec<FlexTensor>,
    call: BlockCall,
}

impl Inputs {
    fn new(x: FlexTensor, others: [FlexTensor; ROLES - 1], call: BlockCall) -> Self {
        let contiguous = |tensor: FlexTensor| match tensor.as_slice::<f32>() {
            Some(_) => tensor,
            None => tensor.to_contiguous(),
        };
        Self { tensors: std::iter::once(x).chain(others).map(contiguous).collect(), call }
    }

    fn slice(&self, role: Role) -> &[f32] {
        #[expect(clippy::expect_used, reason = "made contiguous on construction; the engine is given f32 alone")]
        self.tensors[role as usize].as_slice::<f32>().expect("contiguous f32 tensor")
    }

    fn optional(&self, role: Role) -> Option<&[f32]> {
        self.call.has[role as usize].then(|| self.slice(role))
    }

    fn shape(&self, role: Role) -> Shape {
        self.tensors[role as usize].shape()
    }

    fn dims(&self) -> BlockDims {
        let [batch, tokens, width] = self.shape(Role::Input).dims::<3>();
        let prompts = match self.optional(Role::Prompts) {
            None => 0,
            Some(_) => {
                let shape = self.shape(Role::Prompts).to_vec();
                shape[shape.len() - 2]
            }
        };
        let hidden = self.shape(Role::Fc1Weight).to_vec()[0];
        let BlockCall { heads, eps, outputs, .. } = self.call;
        BlockDims { batch, tokens, prompts, outputs, width, heads, hidden, eps }
    }

    fn params(&self) -> BlockParams<'_> {
        let norm = |weight, bias| LayerNormParams { weight: self.slice(weight), bias: self.slice(bias) };
        let linear = |weight, bias| LinearParams::new(self.slice(weight), self.optional(bias));
        BlockParams {
            norm1: norm(Role::Norm1Weight, Role::Norm1Bias),
            qkv: linear(Role::QkvWeight, Role::QkvBias),
            proj: linear(Role::ProjWeight, Role::ProjBias),
            layer_scale1: self.optional(Role::Scale1),
            norm2: norm(Role::Norm2Weight, Role::Norm2Bias),
            fc1: linear(Role::Fc1Weight, Role::Fc1Bias),
            fc2: linear(Role::Fc2Weight, Role::Fc2Bias),
            layer_scale2: self.optional(Role::Scale2),
            adapter: self.call.adapter.map(|(placement, norm_position)| AdapterParams {
                placement,
                norm_position,
                bottleneck: self.shape(Role::DownWeight).to_vec()[0],
                norm: norm(Role::AdapterNormWeight, Role::AdapterNormBias),
                down: linear(Role::DownWeight, Role::DownBias),
                up: linear(Role::UpWeight, Role::UpBias),
            }),
            prompts: self
                .optional(Role::Prompts)
                .map(|rows| if self.call.prompts_per_image { Prompts::PerImage(rows) } else { Prompts::Shared(rows) }),
        }
    }

    /// The output, and what the backward needs if `wanted` says that there will be one.
    fn forward(&self, wanted: Option<&Wanted>) -> (FlexTensor, Option<Saved>) {
        let (dims, params, BlockCall { precision, keep, .. }) = (self.dims(), self.params(), self.call);
        let x = self.slice(Role::Input);
        let mut out = vec![0.0; dims.output_len()];
        let result = match wanted {
            None => block_forward(&dims, &params, precision, x, &mut out).map(|()| None),
            Some(wanted) => block_forward_saving(&dims, &params, precision, keep, wanted, x, &mut out).map(Some),
        };
        #[expect(clippy::expect_used, reason = "shapes were checked when the model was built")]
        let saved = result.expect("the block's tensors fit each other");
        (tensor(out, [dims.batch, dims.outputs, dims.width]), saved)
    }

    fn backward(&self, saved: &Saved, d_out: &[f32], wanted: &Wanted, d_x: Option<&mut [f32]>) -> BlockGrads {
        let (dims, params) = (self.dims(), self.params());
        let x = self.slice(Role::Input);
        #[expect(clippy::expect_used, reason = "the same tensors went through the forward")]
        block_backward(&dims, &params, self.call.precision, x, saved, d_out, wanted, d_x)
            .expect("the block's tensors fit its saved activations")
    }
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// What the kernel is asked for, from which tensors are in the graph.
fn wanted(tracked: &[bool; ROLES]) -> Wanted {
    let is = |role: Role| tracked[role as usize];
    let norm = |weight, bias| LayerNormWanted { weight: is(weight), bias: is(bias) };
    let linear = |weight, bias| LinearWanted { weight: is(weight), bias: is(bias), lora: false };
    Wanted {
        norm1: norm(Role::Norm1Weight, Role::Norm1Bias),
        qkv: linear(Role::QkvWeight, Role::QkvBias),
        proj: linear(Role::ProjWeight, Role::ProjBias),
        layer_scale1: is(Role::Scale1),
        norm2: norm(Role::Norm2Weight, Role::Norm2Bias),
        fc1: linear(Role::Fc1Weight, Role::Fc1Bias),
        fc2: linear(Role::Fc2Weight, Role::Fc2Bias),
        layer_scale2: is(Role::Scale2),
        adapter: AdapterWanted {
            norm: norm(Role::AdapterNormWeight, Role::AdapterNormBias),
            down: linear(Role::DownWeight, Role::DownBias),
            up: linear(Role::UpWeight, Role::UpBias),
        },
        prompts: is(Role::Prompts),
    }
}

/// The kernel's gradients in the order of [`Role`], the input's left out.
fn by_role(grads: BlockGrads) -> [(Role, Option<Vec<f32>>); ROLES - 1] {
    [
        (Role::Norm1Weight, grads.norm1.weight),
        (Role::Norm1Bias, grads.norm1.bias),
        (Role::QkvWeight, grads.qkv.weight),
        (Role::QkvBias, grads.qkv.bias),
        (Role::ProjWeight, grads.proj.weight),
        (Role::ProjBias, grads.proj.bias),
        (Role::Norm2Weight, grads.norm2.weight),
        (Role::Norm2Bias, grads.norm2.bias),
        (Role::Fc1Weight, grads.fc1.weight),
        (Role::Fc1Bias, grads.fc1.bias),
        (Role::Fc2Weight, grads.fc2.weight),
        (Role::Fc2Bias, grads.fc2.bias),
        (Role::Scale1, grads.layer_scale1),
        (Role::Scale2, grads.layer_scale2),
        (Role::Prompts, grads.prompts),
        (Role::AdapterNormWeight, grads.adapter.norm.weight),
        (Role::AdapterNormBias, grads.adapter.norm.bias),
        (Role::DownWeight, grads.adapter.down.weight),
        (Role::DownBias, grads.adapter.down.bias),
        (Role::UpWeight, grads.adapter.up.weight),
        (Role::UpBias, grads.adapter.up.bias),
    ]
}

impl FusedBlock for Flex {
    fn fused_block(x: FlexTensor, others: BlockTensors<Self>, call: BlockCall) -> FlexTensor {
        Inputs::new(x, others.into_list(), call).forward(None).0
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
        let inputs = Inputs::new(x.into_primitive(), others.map(|tensor| tensor.into_primitive()), call);
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
