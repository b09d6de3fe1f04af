//! Low-rank updates of a dense layer: LoRA (Hu et al., ICLR 2022) and DoRA (Liu et al., ICML 2024).
//!
//! ```text
//! LoRA:  W' = W + (alpha / r) B A
//! DoRA:  W' = |W|_row (1 + m) (W + (alpha / r) B A) / |W + (alpha / r) B A|_row
//! ```
//! with A `[r, in]`, B `[out, r]` and m `[out]`, all of which train; B and m start at zero, so that the layer starts
//! unchanged. The update is formed as a weight, which the fused block takes like any other: its backward then computes
//! the gradient of the whole weight, one matrix product more a layer, and the low-rank gradients follow from it. Dropout of
//! the update's input cannot be written as a weight and runs composed.
//!
//! Differs from the source of DoRA: what trains is the relative change m of each row's length, not the length itself, and
//! the gradient passes through the norm.

use burn::module::{Module, Param};
use burn::tensor::{Distribution, Tensor};
use serde::{Deserialize, Serialize};

use crate::parameters::ParameterSource;

/// Layers of a block that may be updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoraTarget {
    /// The fused projection to queries, keys and values, as one matrix.
    Qkv,
    /// Attention's output projection.
    Proj,
    /// Both layers of the MLP.
    Mlp,
}

/// Options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank r.
    pub rank: usize,
    /// The update is scaled by alpha / r.
    pub alpha: f64,
    /// Dropout of the update's input while training; needs the composed block.
    pub dropout: f64,
    /// Which layers.
    pub targets: Vec<LoraTarget>,
    /// DoRA: length and direction of each row apart.
    pub dora: bool,
}

impl Default for LoraConfig {
    /// Rank 8 on the attention, alpha = 2 r, as is usual for ViTs.
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec![LoraTarget::Qkv, LoraTarget::Proj], dora: false }
    }
}

/// The update of one layer.
#[derive(Module, Debug)]
pub struct Lora {
    /// A, `[r, in]`
    pub a: Param<Tensor<2>>,
    /// B, `[out, r]`
    pub b: Param<Tensor<2>>,
    /// Relative change of the rows' lengths, `[out]`; DoRA alone.
    pub magnitude: Option<Param<Tensor<1>>>,
    /// alpha / r
    #[module(skip)]
    pub scale: f64,
    /// Dropout of the input while training.
    #[module(skip)]
    pub dropout: f64,
}

impl Lora {
    /// Reads `name.{a, b, magnitude}`.
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        input: usize,
        output: usize,
        config: &LoraConfig,
    ) -> Self {
        Self {
            a: source.parameter(&format!("{name}.a"), [config.rank, input]),
            b: source.parameter(&format!("{name}.b"), [output, config.rank]),
            magnitude: config.dora.then(|| source.parameter(&format!("{name}.magnitude"), [output])),
            scale: config.alpha / config.rank.max(1) as f64,
            dropout: config.dropout,
        }
    }

    /// The updated weight.
    ///
    /// # Shapes
    /// `[out, in]` to `[out, in]`
    pub fn apply(&self, weight: Tensor<2>) -> Tensor<2> {
        let updated = self.updated(weight.clone());
        match self.row_scale_of(weight, &updated) {
            None => updated,
            Some(scale) => updated * scale,
        }
    }

    /// Factors of the rows of `weight` `[out, in]` after the low-rank product is added, `[out]`; DoRA alone.
    pub fn row_scale(&self, weight: Tensor<2>) -> Option<Tensor<1>> {
        self.magnitude.as_ref()?;
        let updated = self.updated(weight.clone());
        Some(self.row_scale_of(weight, &updated)?.squeeze_dim(1))
    }

    fn updated(&self, weight: Tensor<2>) -> Tensor<2> {
        weight + self.b.val().matmul(self.a.val()) * self.scale
    }

    /// `[out, 1]`
    fn row_scale_of(&self, weight: Tensor<2>, updated: &Tensor<2>) -> Option<Tensor<2>> {
        let change = self.magnitude.as_ref()?;
        let length = |rows: Tensor<2>| rows.square().sum_dim(1).sqrt().clamp_min(1e-12);
        let wanted = length(weight) * (change.val().add_scalar(1.0).unsqueeze_dim(1));
        Some(wanted / length(updated.clone()))
    }

    /// Whether this step drops inputs: while the update trains.
    pub fn drops(&self) -> bool {
        self.dropout > 0.0 && self.a.val().is_require_grad()
    }

    /// The update's part of the output with dropout of its input, from the device's random numbers.
    ///
    /// # Shapes
    /// `[.., in]` to `[.., out]`
    pub fn forward_dropping<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let kept = 1.0 - self.dropout;
        let mask = x.random_like(Distribution::Bernoulli(kept)).div_scalar(kept);
        let inner = burn::tensor::module::linear(x * mask, self.a.val().transpose(), None);
        burn::tensor::module::linear(inner, self.b.val().transpose(), None).mul_scalar(self.scale)
    }
}
