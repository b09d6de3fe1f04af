//! The tensors of a block as one operation takes them, and everything about a call that is not a tensor.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::{Device, Tensor};
use kinsight_kernels::{AdapterNorm, AdapterPlacement, Keep, Precision};

use super::packed::PackedWeights;
use crate::engine::{Checkpoint, Compute, Precision as ModelPrecision};
use crate::prompts::PromptRows;
use crate::vit::adapter::{Adapter, AdapterNorm as ModelAdapterNorm, AdapterPlacement as ModelPlacement};
use crate::vit::{Block, LayerNorm, Linear};

/// Place of each tensor in the operation's list.
#[derive(Clone, Copy)]
pub enum Role {
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
pub const ROLES: usize = Role::UpBias as usize + 1;

/// Everything about a call that is not a tensor.
#[derive(Clone, Debug)]
pub struct BlockCall {
    pub heads: usize,
    pub eps: f32,
    pub outputs: usize,
    pub precision: Precision,
    pub keep: Keep,
    pub has: [bool; ROLES],
    pub prompts_per_image: bool,
    pub adapter: Option<(AdapterPlacement, AdapterNorm)>,
    pub packed: PackedWeights,
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
    pub fn from_list(list: [FloatTensor<B>; ROLES - 1]) -> Self {
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

    pub fn into_list(self) -> [FloatTensor<B>; ROLES - 1] {
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

/// The tensors of `block` and `prompts`, and the call that fits them and a batch of `batch` images.
pub fn gather(
    block: &Block,
    prompts: Option<PromptRows>,
    [batch, outputs]: [usize; 2],
    compute: Compute,
    device: &Device,
) -> (BlockTensors<Dispatch>, BlockCall) {
    let rows = batch * outputs;
    let mut list = TensorList::new(device);
    list.put_norm([Role::Norm1Weight, Role::Norm1Bias], &block.norm1);
    list.put_linear([Role::QkvWeight, Role::QkvBias], &block.attn.qkv);
    list.put_linear([Role::ProjWeight, Role::ProjBias], &block.attn.proj);
    list.put_norm([Role::Norm2Weight, Role::Norm2Bias], &block.norm2);
    list.put_linear([Role::Fc1Weight, Role::Fc1Bias], &block.mlp.fc1);
    list.put_linear([Role::Fc2Weight, Role::Fc2Bias], &block.mlp.fc2);
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
        precision: precision(compute),
        keep: match compute.checkpoint.for_hidden(rows * block.mlp.fc1.weight.dims()[0]) {
            Checkpoint::Auto | Checkpoint::None => Keep::All,
            Checkpoint::Mlp => Keep::WithoutHidden,
            Checkpoint::Block => Keep::InputsOnly,
        },
        has: list.has,
        prompts_per_image,
        adapter: block.adapter.as_ref().map(|adapter| {
            let placement = match adapter.placement {
                ModelPlacement::Parallel => AdapterPlacement::Parallel,
                ModelPlacement::Sequential => AdapterPlacement::Sequential,
            };
            let norm = match adapter.norm {
                ModelAdapterNorm::Pre => AdapterNorm::Pre,
                ModelAdapterNorm::Post => AdapterNorm::Post,
            };
            (placement, norm)
        }),
        packed: block.packed.clone(),
    };
    (BlockTensors::from_list(list.tensors), call)
}

/// The kernel's name for a precision.
pub fn precision(compute: Compute) -> Precision {
    match compute.precision {
        ModelPrecision::F32 => Precision::F32,
        ModelPrecision::Bf16 => Precision::Bf16,
    }
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

    /// What is attached to a layer is folded into its weight and bias; gradients pass on from there.
    fn put_linear(&mut self, [weight, bias]: [Role; 2], layer: &Linear) {
        let folded = layer.folded();
        self.put(weight, folded.0);
        self.put_optional(bias, folded.1);
    }

    fn put_norm(&mut self, [weight, bias]: [Role; 2], norm: &LayerNorm) {
        let folded = norm.folded();
        self.put(weight, folded.0);
        self.put(bias, folded.1);
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
