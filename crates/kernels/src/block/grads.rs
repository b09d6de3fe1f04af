//! Which gradients a backward computes, and the gradients.

use super::params::BlockParams;
use super::tensors::{BlockTensor, PerTensor};
use crate::error::KernelError;
use crate::norm::add_to;

/// Which gradients of a block's tensors are wanted; nothing else is computed. The default wants none.
pub type Wanted = PerTensor<bool>;

/// Gradients of a block's tensors, each `Some` exactly where it was [`Wanted`], in its tensor's shape. That of shared
/// prompts is summed over the images.
pub type BlockGrads = PerTensor<Option<Vec<f32>>>;

impl Wanted {
    /// Whether one of `tensors` is among them.
    pub fn any(&self, tensors: &[BlockTensor]) -> bool {
        tensors.iter().any(|tensor| self[*tensor])
    }

    /// Whether the backward reads the attention's output: products with `proj`, or the branch's own value.
    pub(crate) fn attention_output(&self) -> bool {
        self.any(&[BlockTensor::ProjWeight, BlockTensor::Scale1])
    }

    /// Whether anything is wanted that lies before the attention, the input's gradient aside.
    pub(crate) fn before_attention(&self) -> bool {
        use BlockTensor::{Norm1Bias, Norm1Weight, Prompts, QkvBias, QkvWeight};
        self.any(&[Norm1Weight, Norm1Bias, QkvWeight, QkvBias, Prompts])
    }

    /// Fails where a gradient is wanted of something the block does not have.
    pub(crate) fn check(&self, params: &BlockParams<'_>) -> Result<(), KernelError> {
        match self.iter().find(|(tensor, wanted)| **wanted && params.tensors[*tensor].is_none()) {
            None => Ok(()),
            Some((tensor, _)) => Err(KernelError::Mismatch {
                what: tensor.name(),
                expected: "given, since its gradient is wanted",
                found: "absent",
            }),
        }
    }
}

impl BlockGrads {
    /// Zeros for everything wanted.
    pub(crate) fn zeros(wanted: &Wanted, params: &BlockParams<'_>) -> Self {
        let len = |tensor| params.tensors[tensor].map_or(0, <[f32]>::len);
        Self::from_fn(|tensor| wanted[tensor].then(|| vec![0.0; len(tensor)]))
    }

    /// Zeros for what one image adds up by itself: all but products with weights, and the prompts.
    pub(crate) fn image_zeros(wanted: &Wanted, params: &BlockParams<'_>) -> Self {
        Self::zeros(&Wanted::from_fn(|tensor| wanted[tensor] && !tensor.is_matrix()), params)
    }

    /// Adds what one image has summed up.
    pub(crate) fn add_image(&mut self, image: &Self) {
        for (tensor, part) in image.iter() {
            add_to(&mut self[tensor], part.as_deref());
        }
    }

    /// Where the gradients of a LayerNorm's weight and bias are added up; `None` where they are not wanted.
    pub(crate) fn norm(&mut self, tensors: [BlockTensor; 2]) -> [Option<&mut [f32]>; 2] {
        self.pair_mut(tensors).map_or([None, None], |pair| pair.map(|gradient| gradient.as_deref_mut()))
    }
}
