//! Sizes and parameters of a block, and their validation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::tensors::{BlockTensor, PerTensor};
use super::weight_cache::WeightCache;
use crate::error::{KernelError, check_length};
use crate::norm::LayerNormParams;

/// Sizes of a block and of the batch that passes through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockDims {
    /// Images, B.
    pub batch: usize,
    /// Tokens of an image, N, not counting prompts.
    pub tokens: usize,
    /// Prompts put before the tokens, P; 0 for none.
    pub prompts: usize,
    /// Leading tokens whose output is wanted, at most `tokens`; the others serve as keys and values alone.
    /// `tokens` everywhere but in the last block of a model that pools the class token, where 1 is enough.
    pub outputs: usize,
    /// Numbers in a token, D.
    pub width: usize,
    /// Attention heads, H; a divisor of `width`.
    pub heads: usize,
    /// Hidden size of the MLP.
    pub hidden: usize,
    /// Added to the variance in `norm1` and `norm2`.
    pub eps: f32,
}

impl BlockDims {
    /// Numbers in the block's input, `[batch, tokens, width]`.
    pub fn input_len(&self) -> usize {
        self.batch.saturating_mul(self.image_len())
    }

    /// Numbers in the block's output, `[batch, outputs, width]`.
    pub fn output_len(&self) -> usize {
        self.batch.saturating_mul(self.image_output_len())
    }

    pub(crate) fn image_len(&self) -> usize {
        self.tokens.saturating_mul(self.width)
    }

    pub(crate) fn image_output_len(&self) -> usize {
        self.outputs.saturating_mul(self.width)
    }

    fn check(&self) -> Result<(), KernelError> {
        let at_least_one = [
            ("batch", self.batch),
            ("tokens", self.tokens),
            ("outputs", self.outputs),
            ("width", self.width),
            ("heads", self.heads),
            ("hidden", self.hidden),
        ];
        for (what, found) in at_least_one {
            if found == 0 {
                return Err(KernelError::Dimension { what, expected: "at least 1".into(), found });
            }
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(KernelError::Dimension {
                what: "heads",
                expected: format!("a divisor of the width {}", self.width),
                found: self.heads,
            });
        }
        if self.outputs > self.tokens {
            return Err(KernelError::Dimension {
                what: "outputs",
                expected: format!("at most the {} tokens", self.tokens),
                found: self.outputs,
            });
        }
        Ok(())
    }
}

/// Prompts of a block: rows put before the tokens, whose outputs are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prompts<'a> {
    /// `[P, D]`, the same for all images.
    Shared(&'a [f32]),
    /// `[B, P, D]`, each image its own.
    PerImage(&'a [f32]),
}

/// Where an adapter's LayerNorm (eps 1e-5) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterNorm {
    /// Before the down-projection.
    Pre,
    /// After the up-projection.
    Post,
}

/// What an adapter reads and where its output goes. `x` is the MLP branch's input before `norm2`, `m` the MLP branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterPlacement {
    /// `x + m + adapter(x)`
    Parallel,
    /// `x + m + adapter(m)`
    Sequential,
}

/// A bottleneck adapter: `down`, ReLU, `up` and a LayerNorm.
#[derive(Clone, Copy)]
pub(crate) struct AdapterParams<'a> {
    pub placement: AdapterPlacement,
    pub norm_position: AdapterNorm,
    /// Rows of `down`, R.
    pub bottleneck: usize,
    pub norm: LayerNormParams<'a>,
}

/// Parameters of a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockParams<'a> {
    /// The tensors that the block has. It may be without biases, scales, prompts and an adapter's tensors.
    pub tensors: PerTensor<Option<&'a [f32]>>,
    /// What the adapter reads and where its LayerNorm stands, where there is one.
    pub adapter: Option<(AdapterPlacement, AdapterNorm)>,
    /// Whether each image has its own prompts, `[B, P, D]`.
    pub prompts_per_image: bool,
    /// Where packed weights are kept from call to call; without, they are packed in every call.
    pub cache: Option<&'a WeightCache>,
}

impl<'a> BlockParams<'a> {
    /// Fails unless every tensor fits the sizes, and the input is as long as they say.
    pub(crate) fn check(&self, dims: &BlockDims, x: &[f32]) -> Result<(), KernelError> {
        BlockTensor::MATRICES.into_iter().try_for_each(|matrix| self.check_given(matrix))?;
        self.check_small(dims, x)
    }

    /// The same where the four large matrices are packed already, and need not be given.
    pub(crate) fn check_small(&self, dims: &BlockDims, x: &[f32]) -> Result<(), KernelError> {
        use BlockTensor::{AdapterNormBias, AdapterNormWeight, DownWeight, UpWeight};
        use BlockTensor::{Norm1Bias, Norm1Weight, Norm2Bias, Norm2Weight};
        dims.check()?;
        check_length("block input", dims.input_len(), x.len())?;
        [Norm1Weight, Norm1Bias, Norm2Weight, Norm2Bias].into_iter().try_for_each(|norm| self.check_given(norm))?;
        if self.adapter.is_some() {
            let needed = [DownWeight, UpWeight, AdapterNormWeight, AdapterNormBias];
            needed.into_iter().try_for_each(|tensor| self.check_given(tensor))?;
            if self.bottleneck(dims.width) == 0 {
                let expected = "at least 1".into();
                return Err(KernelError::Dimension { what: "adapter bottleneck", expected, found: 0 });
            }
        }
        if dims.prompts > 0 {
            self.check_given(BlockTensor::Prompts)?;
        }
        for (tensor, values) in self.tensors.iter() {
            let copies = if tensor == BlockTensor::Prompts && self.prompts_per_image { dims.batch } else { 1 };
            let expected = tensor.len(dims, self.bottleneck(dims.width)).saturating_mul(copies);
            values.map_or(Ok(()), |values| check_length(tensor.name(), expected, values.len()))?;
        }
        Ok(())
    }

    fn check_given(&self, tensor: BlockTensor) -> Result<(), KernelError> {
        match self.tensors[tensor] {
            Some(_) => Ok(()),
            None => Err(KernelError::Mismatch { what: tensor.name(), expected: "given", found: "absent" }),
        }
    }

    /// Rows of the adapter's `down_proj`; 0 without one.
    fn bottleneck(&self, width: usize) -> usize {
        self.of(BlockTensor::DownWeight).len() / width
    }

    /// A tensor that [`check`](Self::check) found; empty without.
    pub(crate) fn of(&self, tensor: BlockTensor) -> &'a [f32] {
        self.tensors[tensor].unwrap_or_default()
    }

    /// A bias of `len` numbers, zeros where there is none.
    pub(crate) fn bias(&self, tensor: BlockTensor, len: usize) -> Cow<'a, [f32]> {
        self.tensors[tensor].map_or_else(|| vec![0.0; len].into(), Cow::Borrowed)
    }

    pub(crate) fn norm1(&self) -> LayerNormParams<'a> {
        LayerNormParams { weight: self.of(BlockTensor::Norm1Weight), bias: self.of(BlockTensor::Norm1Bias) }
    }

    pub(crate) fn norm2(&self) -> LayerNormParams<'a> {
        LayerNormParams { weight: self.of(BlockTensor::Norm2Weight), bias: self.of(BlockTensor::Norm2Bias) }
    }

    pub(crate) fn prompts(&self) -> Option<Prompts<'a>> {
        let wrap = if self.prompts_per_image { Prompts::PerImage } else { Prompts::Shared };
        self.tensors[BlockTensor::Prompts].map(wrap)
    }

    pub(crate) fn adapter(&self) -> Option<AdapterParams<'a>> {
        let (placement, norm_position) = self.adapter?;
        let (weight, bias) = (self.of(BlockTensor::AdapterNormWeight), self.of(BlockTensor::AdapterNormBias));
        let bottleneck = self.bottleneck(weight.len());
        Some(AdapterParams { placement, norm_position, bottleneck, norm: LayerNormParams { weight, bias } })
    }
}
