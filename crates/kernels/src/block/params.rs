//! Sizes and parameters of a block, and their validation.

use crate::error::{KernelError, check_length};
use crate::linear::LinearParams;
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
pub enum Prompts<'a> {
    /// `[P, D]`, the same for all images.
    Shared(&'a [f32]),
    /// `[B, P, D]`, each image its own.
    PerImage(&'a [f32]),
}

/// Where an adapter's LayerNorm (eps 1e-5) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterNorm {
    /// Before `down`.
    Pre,
    /// After `up`.
    Post,
}

/// What an adapter reads and where its output goes. `x2` is the MLP branch's input before `norm2`, `m` the MLP branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterPlacement {
    /// `out = x2 + m + adapter(x2)`.
    Parallel,
    /// `out = x2 + (m + adapter(m))`.
    Sequential,
}

/// A bottleneck adapter: `down`, ReLU, `up` and a LayerNorm.
#[derive(Clone, Copy, Debug)]
pub struct AdapterParams<'a> {
    /// What the adapter reads.
    pub placement: AdapterPlacement,
    /// Where the LayerNorm stands.
    pub norm_position: AdapterNorm,
    /// Rows of `down`, R.
    pub bottleneck: usize,
    /// LayerNorm, `[D]`.
    pub norm: LayerNormParams<'a>,
    /// `[R, D]` and `[R]`.
    pub down: LinearParams<'a>,
    /// `[D, R]` and `[D]`.
    pub up: LinearParams<'a>,
}

/// Parameters of a block, in PyTorch's layout: weights are `[out, in]`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct BlockParams<'a> {
    /// LayerNorm before attention.
    pub norm1: LayerNormParams<'a>,
    /// `[3D, D]`: queries, keys, values, each head after head.
    pub qkv: LinearParams<'a>,
    /// `[D, D]`.
    pub proj: LinearParams<'a>,
    /// Scale of the attention branch, `[D]`.
    pub layer_scale1: Option<&'a [f32]>,
    /// LayerNorm before the MLP.
    pub norm2: LayerNormParams<'a>,
    /// `[hidden, D]`.
    pub fc1: LinearParams<'a>,
    /// `[D, hidden]`.
    pub fc2: LinearParams<'a>,
    /// Scale of the MLP branch, `[D]`.
    pub layer_scale2: Option<&'a [f32]>,
    /// A bottleneck beside or after the MLP.
    pub adapter: Option<AdapterParams<'a>>,
    /// Rows put before the tokens.
    pub prompts: Option<Prompts<'a>>,
}

impl BlockParams<'_> {
    /// Fails unless every tensor fits the sizes, and the input is as long as they say.
    pub(crate) fn check(&self, dims: &BlockDims, x: &[f32]) -> Result<(), KernelError> {
        let (width, hidden) = (dims.width, dims.hidden);
        self.check_small(dims, x)?;
        self.qkv.check(["qkv.weight", "qkv.bias"], width, width.saturating_mul(3))?;
        self.proj.check(["proj.weight", "proj.bias"], width, width)?;
        self.fc1.check(["fc1.weight", "fc1.bias"], width, hidden)?;
        self.fc2.check(["fc2.weight", "fc2.bias"], hidden, width)
    }

    /// The same for everything but the four large matrices and their biases.
    pub(crate) fn check_small(&self, dims: &BlockDims, x: &[f32]) -> Result<(), KernelError> {
        dims.check()?;
        let width = dims.width;
        check_length("block input", dims.input_len(), x.len())?;
        self.norm1.check(["norm1.weight", "norm1.bias"], width)?;
        self.norm2.check(["norm2.weight", "norm2.bias"], width)?;
        for (what, scale) in [("layer_scale1", self.layer_scale1), ("layer_scale2", self.layer_scale2)] {
            if let Some(scale) = scale {
                check_length(what, width, scale.len())?;
            }
        }
        if let Some(adapter) = &self.adapter {
            if adapter.bottleneck == 0 {
                return Err(KernelError::Dimension {
                    what: "adapter bottleneck",
                    expected: "at least 1".into(),
                    found: 0,
                });
            }
            let (norm, bottleneck) = (&adapter.norm, adapter.bottleneck);
            norm.check(["adapter norm weight", "adapter norm bias"], width)?;
            let names = ["adapter down weight", "adapter down bias"];
            adapter.down.check(names, width, bottleneck)?;
            let names = ["adapter up weight", "adapter up bias"];
            adapter.up.check(names, bottleneck, width)?;
        }
        let rows = dims.prompts.saturating_mul(width);
        match self.prompts {
            Some(Prompts::Shared(prompts)) => check_length("prompts", rows, prompts.len()),
            Some(Prompts::PerImage(prompts)) => check_length("prompts", rows.saturating_mul(dims.batch), prompts.len()),
            None if dims.prompts == 0 => Ok(()),
            None => Err(KernelError::Mismatch {
                what: "prompts",
                expected: "given, since the dimensions count some",
                found: "absent",
            }),
        }
    }
}
