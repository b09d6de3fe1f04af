//! Scaling and shifting of features: SSF (Lian et al., "Scaling & Shifting Your Features", NeurIPS 2022).
//!
//! ```text
//! y' = scale * y + shift
//! ```
//! behind every dense layer and LayerNorm of a backbone; scale starts at one, shift at zero. Both fold into the layer before
//! them, and that is how they are computed: `W' = scale W`, `b' = scale b + shift`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::parameters::ParameterSource;

/// Scale and shift of a layer's output.
#[derive(Module, Debug)]
pub struct ScaleShift {
    /// `[out]`
    pub scale: Param<Tensor<1>>,
    /// `[out]`
    pub shift: Param<Tensor<1>>,
}

impl ScaleShift {
    /// Reads `name.{scale, shift}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, size: usize) -> Self {
        Self {
            scale: source.parameter(&format!("{name}.scale"), [size]),
            shift: source.parameter(&format!("{name}.shift"), [size]),
        }
    }

    /// The rows of `weight` `[out, in]`, scaled.
    pub fn scale_rows(&self, weight: Tensor<2>) -> Tensor<2> {
        weight * self.scale.val().unsqueeze_dim(1)
    }

    /// A bias `[out]`, scaled and shifted; the shift alone where there is none.
    pub fn shift_bias(&self, bias: Option<Tensor<1>>) -> Tensor<1> {
        bias.map_or_else(|| self.shift.val(), |bias| self.apply(bias))
    }

    /// A vector `[out]`, scaled and shifted.
    pub fn apply(&self, vector: Tensor<1>) -> Tensor<1> {
        vector * self.scale.val() + self.shift.val()
    }
}
