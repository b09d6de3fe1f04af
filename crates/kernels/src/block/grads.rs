//! Which gradients a backward computes, and the gradients.

use super::params::{BlockDims, BlockParams, Prompts};
use crate::error::KernelError;
use crate::linear::{LinearGrads, LinearWanted};
use crate::norm::{LayerNormGrads, LayerNormWanted, add_to};

/// Which gradients of an adapter are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdapterWanted {
    /// Of the LayerNorm.
    pub norm: LayerNormWanted,
    /// Of `down`.
    pub down: LinearWanted,
    /// Of `up`.
    pub up: LinearWanted,
}

/// Which gradients of a block's parameters are wanted; nothing else is computed. The default wants none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the LayerNorm before attention.
    pub norm1: LayerNormWanted,
    /// Of the fused queries, keys and values.
    pub qkv: LinearWanted,
    /// Of the attention's output layer.
    pub proj: LinearWanted,
    /// Of the attention branch's scale.
    pub layer_scale1: bool,
    /// Of the LayerNorm before the MLP.
    pub norm2: LayerNormWanted,
    /// Of the MLP's first layer.
    pub fc1: LinearWanted,
    /// Of the MLP's second layer.
    pub fc2: LinearWanted,
    /// Of the MLP branch's scale.
    pub layer_scale2: bool,
    /// Of the adapter.
    pub adapter: AdapterWanted,
    /// Of the prompts.
    pub prompts: bool,
}

impl Wanted {
    /// Whether the backward reads the attention's output: products with `proj`, or the branch's own value.
    pub(crate) fn attention_output(&self) -> bool {
        self.proj.products() || self.layer_scale1
    }

    /// Whether anything is wanted that lies before the attention, the input's gradient aside.
    pub(crate) fn before_attention(&self) -> bool {
        self.norm1.any() || self.qkv.any() || self.prompts
    }

    /// Fails where a gradient is wanted of something the block does not have.
    pub(crate) fn check(&self, params: &BlockParams<'_>) -> Result<(), KernelError> {
        let adapter = self.adapter;
        let (down, up) = match &params.adapter {
            Some(adapter) => (Some(&adapter.down), Some(&adapter.up)),
            None => (None, None),
        };
        let any_adapter = adapter.norm.any() || adapter.down.any() || adapter.up.any();
        let mut present = vec![
            ("prompts", self.prompts, params.prompts.is_some()),
            ("layer_scale1", self.layer_scale1, params.layer_scale1.is_some()),
            ("layer_scale2", self.layer_scale2, params.layer_scale2.is_some()),
            ("adapter", any_adapter, params.adapter.is_some()),
        ];
        for (wanted, linear, bias, lora) in [
            (self.qkv, Some(&params.qkv), "qkv.bias", "qkv.lora"),
            (self.proj, Some(&params.proj), "proj.bias", "proj.lora"),
            (self.fc1, Some(&params.fc1), "fc1.bias", "fc1.lora"),
            (self.fc2, Some(&params.fc2), "fc2.bias", "fc2.lora"),
            (adapter.down, down, "adapter down bias", "adapter down lora"),
            (adapter.up, up, "adapter up bias", "adapter up lora"),
        ] {
            present.push((bias, wanted.bias, linear.is_some_and(|l| l.bias.is_some())));
            present.push((lora, wanted.lora, linear.is_some_and(|l| l.lora.is_some())));
        }
        match present.into_iter().find(|(_, wanted, present)| *wanted && !present) {
            None => Ok(()),
            Some((what, ..)) => {
                Err(KernelError::Mismatch { what, expected: "given, since its gradient is wanted", found: "absent" })
            }
        }
    }
}

/// Gradients of an adapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterGrads {
    /// Of the LayerNorm.
    pub norm: LayerNormGrads,
    /// Of `down`.
    pub down: LinearGrads,
    /// Of `up`.
    pub up: LinearGrads,
}

/// Gradients of a block's parameters, each `Some` exactly where it was [`Wanted`], in its parameter's shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockGrads {
    /// Of the LayerNorm before attention.
    pub norm1: LayerNormGrads,
    /// Of the fused queries, keys and values.
    pub qkv: LinearGrads,
    /// Of the attention's output layer.
    pub proj: LinearGrads,
    /// Of the attention branch's scale, `[D]`.
    pub layer_scale1: Option<Vec<f32>>,
    /// Of the LayerNorm before the MLP.
    pub norm2: LayerNormGrads,
    /// Of the MLP's first layer.
    pub fc1: LinearGrads,
    /// Of the MLP's second layer.
    pub fc2: LinearGrads,
    /// Of the MLP branch's scale, `[D]`.
    pub layer_scale2: Option<Vec<f32>>,
    /// Of the adapter.
    pub adapter: AdapterGrads,
    /// Of the prompts: `[P, D]`, summed over the images, if they are shared; else `[B, P, D]`.
    pub prompts: Option<Vec<f32>>,
}

impl BlockGrads {
    /// Zeros for everything wanted.
    pub(crate) fn zeros(wanted: &Wanted, params: &BlockParams<'_>, dims: &BlockDims) -> Self {
        let prompt_len = match params.prompts {
            Some(Prompts::Shared(prompts) | Prompts::PerImage(prompts)) => prompts.len(),
            None => 0,
        };
        let zeros = Self { prompts: wanted.prompts.then(|| vec![0.0; prompt_len]), ..Self::default() };
        zeros.with_tensors(wanted, params, dims)
    }

    /// Zeros for what one image adds up by itself: all but products with weights and the prompts.
    pub(crate) fn image_zeros(wanted: &Wanted, params: &BlockParams<'_>, dims: &BlockDims) -> Self {
        let mut wanted = *wanted;
        for linear in [
            &mut wanted.qkv,
            &mut wanted.proj,
            &mut wanted.fc1,
            &mut wanted.fc2,
            &mut wanted.adapter.down,
            &mut wanted.adapter.up,
        ] {
            (linear.weight, linear.lora) = (false, false);
        }
        Self::default().with_tensors(&wanted, params, dims)
    }

    fn with_tensors(self, wanted: &Wanted, params: &BlockParams<'_>, dims: &BlockDims) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let adapter = params.adapter.map_or_else(AdapterGrads::default, |adapter| {
            let (wanted, bottleneck) = (wanted.adapter, adapter.bottleneck);
            AdapterGrads {
                norm: LayerNormGrads::zeros(wanted.norm, width),
                down: LinearGrads::zeros(wanted.down, &adapter.down, width, bottleneck),
                up: LinearGrads::zeros(wanted.up, &adapter.up, bottleneck, width),
            }
        });
        Self {
            norm1: LayerNormGrads::zeros(wanted.norm1, width),
            qkv: LinearGrads::zeros(wanted.qkv, &params.qkv, width, 3 * width),
            proj: LinearGrads::zeros(wanted.proj, &params.proj, width, width),
            layer_scale1: wanted.layer_scale1.then(|| vec![0.0; width]),
            norm2: LayerNormGrads::zeros(wanted.norm2, width),
            fc1: LinearGrads::zeros(wanted.fc1, &params.fc1, width, hidden),
            fc2: LinearGrads::zeros(wanted.fc2, &params.fc2, hidden, width),
            layer_scale2: wanted.layer_scale2.then(|| vec![0.0; width]),
            adapter,
            ..self
        }
    }

    /// Adds what one image has summed up.
    pub(crate) fn add_image(&mut self, image: &Self) {
        self.norm1.add(&image.norm1);
        self.qkv.add_bias(&image.qkv);
        self.proj.add_bias(&image.proj);
        add_to(&mut self.layer_scale1, image.layer_scale1.as_deref());
        self.norm2.add(&image.norm2);
        self.fc1.add_bias(&image.fc1);
        self.fc2.add_bias(&image.fc2);
        add_to(&mut self.layer_scale2, image.layer_scale2.as_deref());
        self.adapter.norm.add(&image.adapter.norm);
        self.adapter.down.add_bias(&image.adapter.down);
        self.adapter.up.add_bias(&image.adapter.up);
    }
}
