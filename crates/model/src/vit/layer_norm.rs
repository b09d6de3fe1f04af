//! Layer normalisation over the last dimension.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use crate::parameters::ParameterSource;

/// The counterpart of `torch.nn.LayerNorm` with an affine part.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[D]`
    pub weight: Param<Tensor<1>>,
    /// `[D]`
    pub bias: Param<Tensor<1>>,
    /// Added to the variance.
    #[module(skip)]
    pub eps: f64,
}

impl LayerNorm {
    /// Reads `name.weight` and `name.bias`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, width: usize, eps: f64) -> Self {
        Self {
            weight: source.parameter(&format!("{name}.weight"), [width]),
            bias: source.parameter(&format!("{name}.bias"), [width]),
            eps,
        }
    }

    /// Normalises the last dimension.
    ///
    /// # Shapes
    /// `[.., D]` to `[.., D]`
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        module::layer_norm(x, self.weight.val(), Some(self.bias.val()), self.eps)
    }
}
