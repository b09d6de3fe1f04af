//! A call on the flex back end, as the kernel takes it.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use kinsight_kernels::{
    BlockDims, BlockGrads, BlockParams, BlockTensor, Checkpoint, PerTensor, Saved, Wanted, WeightCache, block_backward,
    block_forward, block_forward_saving,
};

use super::tensors::BlockCall;

/// burn's CPU tensor.
pub type FlexTensor = FloatTensor<Flex>;

/// The inputs of a call on flex, contiguous.
pub struct Inputs {
    pub x: FlexTensor,
    pub tensors: PerTensor<FlexTensor>,
    call: BlockCall,
    /// Packed weights, where they stay the same from call to call.
    cache: Option<Arc<WeightCache>>,
}

impl Inputs {
    /// `tracked` says which tensors will get gradients, `training` whether anything will; weights that do are not kept
    /// packed.
    pub fn new(
        x: FlexTensor,
        tensors: PerTensor<FlexTensor>,
        call: BlockCall,
        tracked: &Wanted,
        training: bool,
    ) -> Self {
        let (x, tensors) = (contiguous(x), tensors.map(contiguous));
        let changing = BlockTensor::MATRICES.iter().any(|matrix| tracked[*matrix]);
        let checkpoint = call.checkpoint.for_hidden(x.shape()[0] * call.outputs * hidden(&tensors));
        let cache = if changing || (training && checkpoint != Checkpoint::None) {
            call.packed.clear();
            None
        } else {
            Some(call.packed.of(BlockTensor::MATRICES.map(|matrix| &tensors[matrix])))
        };
        Self { x, tensors, call, cache }
    }

    fn dims(&self) -> BlockDims {
        let [batch, tokens, width] = self.x.shape().dims::<3>();
        let prompts = match self.call.has[BlockTensor::Prompts] {
            false => 0,
            true => {
                let shape = self.tensors[BlockTensor::Prompts].shape();
                shape[shape.num_dims() - 2]
            }
        };
        let BlockCall { heads, eps, outputs, .. } = self.call;
        BlockDims { batch, tokens, prompts, outputs, width, heads, hidden: hidden(&self.tensors), eps }
    }

    fn params(&self) -> BlockParams<'_> {
        BlockParams {
            tensors: PerTensor::from_fn(|tensor| self.call.has[tensor].then(|| numbers(&self.tensors[tensor]))),
            adapter: self.call.adapter,
            prompts_per_image: self.call.prompts_per_image,
            cache: self.cache.as_deref(),
        }
    }

    /// The output, and what the backward needs if `wanted` says that there will be one.
    pub fn forward(&self, wanted: Option<&Wanted>) -> (FlexTensor, Option<Saved>) {
        let (dims, params) = (self.dims(), self.params());
        let (precision, checkpoint) = (self.call.precision, self.call.checkpoint);
        let x = numbers(&self.x);
        let mut out = vec![0.0; dims.output_len()];
        let result = match wanted {
            None => block_forward(&dims, &params, precision, x, &mut out).map(|()| None),
            Some(wanted) => block_forward_saving(&dims, &params, precision, checkpoint, wanted, x, &mut out).map(Some),
        };
        #[expect(clippy::expect_used, reason = "shapes were checked when the model was built")]
        let saved = result.expect("the block's tensors fit each other");
        (tensor(out, [dims.batch, dims.outputs, dims.width]), saved)
    }

    pub fn backward(&self, saved: &Saved, d_out: &[f32], wanted: &Wanted, d_x: Option<&mut [f32]>) -> BlockGrads {
        let (dims, params) = (self.dims(), self.params());
        #[expect(clippy::expect_used, reason = "the same tensors went through the forward")]
        block_backward(&dims, &params, self.call.precision, numbers(&self.x), saved, d_out, wanted, d_x)
            .expect("the block's tensors fit its saved activations")
    }
}

/// Size of the MLP's hidden layer.
fn hidden(tensors: &PerTensor<FlexTensor>) -> usize {
    tensors[BlockTensor::Fc1Weight].shape()[0]
}

/// `tensor` with its numbers one after the other.
pub fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a tensor that [`contiguous`] gave.
#[expect(clippy::expect_used, reason = "the engine is given f32 alone")]
pub fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("contiguous f32 tensor")
}

/// A tensor around `values`, without a copy.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
