//! A call on the flex back end, as the kernel takes it.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use kinsight_kernels::{
    AdapterParams, AdapterWanted, BlockDims, BlockGrads, BlockParams, Keep, LayerNormParams, LayerNormWanted,
    LinearParams, LinearWanted, Prompts, Saved, Wanted, WeightCache, block_backward, block_forward,
    block_forward_saving,
};

use super::tensors::{BlockCall, ROLES, Role};

/// burn's CPU tensor.
pub type FlexTensor = FloatTensor<Flex>;

/// The inputs of a call on flex, contiguous.
pub struct Inputs {
    tensors: Vec<FlexTensor>,
    call: BlockCall,
    /// Packed weights, where they stay the same from call to call.
    cache: Option<Arc<WeightCache>>,
}

impl Inputs {
    /// `tracked` says which tensors will get gradients; weights that do are not kept packed.
    pub fn new(x: FlexTensor, others: [FlexTensor; ROLES - 1], call: BlockCall, tracked: &[bool; ROLES]) -> Self {
        let contiguous = |tensor: FlexTensor| match tensor.as_slice::<f32>() {
            Some(_) => tensor,
            None => tensor.to_contiguous(),
        };
        let tensors: Vec<_> = std::iter::once(x).chain(others).map(contiguous).collect();
        let weights = [Role::QkvWeight, Role::ProjWeight, Role::Fc1Weight, Role::Fc2Weight];
        let training = tracked.contains(&true);
        let changing = weights.iter().any(|role| tracked[*role as usize]);
        let cache = if changing || (training && call.keep != Keep::All) {
            call.packed.clear();
            None
        } else {
            Some(call.packed.of(weights.map(|role| &tensors[role as usize])))
        };
        Self { tensors, call, cache }
    }

    pub fn slice(&self, role: Role) -> &[f32] {
        #[expect(clippy::expect_used, reason = "made contiguous on construction; the engine is given f32 alone")]
        self.tensors[role as usize].as_slice::<f32>().expect("contiguous f32 tensor")
    }

    fn optional(&self, role: Role) -> Option<&[f32]> {
        self.call.has[role as usize].then(|| self.slice(role))
    }

    pub fn shape(&self, role: Role) -> Shape {
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
        let BlockCall { heads, eps, outputs, .. } = &self.call;
        let (heads, eps, outputs) = (*heads, *eps, *outputs);
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
            cache: self.cache.as_deref(),
        }
    }

    /// The output, and what the backward needs if `wanted` says that there will be one.
    pub fn forward(&self, wanted: Option<&Wanted>) -> (FlexTensor, Option<Saved>) {
        let (dims, params) = (self.dims(), self.params());
        let (precision, keep) = (self.call.precision, self.call.keep);
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

    pub fn backward(&self, saved: &Saved, d_out: &[f32], wanted: &Wanted, d_x: Option<&mut [f32]>) -> BlockGrads {
        let (dims, params) = (self.dims(), self.params());
        let x = self.slice(Role::Input);
        #[expect(clippy::expect_used, reason = "the same tensors went through the forward")]
        block_backward(&dims, &params, self.call.precision, x, saved, d_out, wanted, d_x)
            .expect("the block's tensors fit its saved activations")
    }
}

/// A tensor around `values`, without a copy.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// What the kernel is asked for, from which tensors are in the graph.
pub fn wanted(tracked: &[bool; ROLES]) -> Wanted {
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
pub fn by_role(grads: BlockGrads) -> [(Role, Option<Vec<f32>>); ROLES - 1] {
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
