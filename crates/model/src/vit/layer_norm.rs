//! Layer normalization over the last dimension.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use super::scale_shift::ScaleShift;
use crate::parameters::ParameterSource;

/// The counterpart of `torch.nn.LayerNorm` with an affine part.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[D]`
    pub weight: Param<Tensor<1>>,
    /// `[D]`
    pub bias: Param<Tensor<1>>,
    /// Scale and shift of the output.
    pub ssf: Option<ScaleShift>,
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
            ssf: None,
            eps,
        }
    }

    /// Weight and bias with scale and shift folded in, `[D]` each.
    pub fn folded(&self) -> (Tensor<1>, Tensor<1>) {
        match &self.ssf {
            None => (self.weight.val(), self.bias.val()),
            Some(ssf) => (self.weight.val() * ssf.scale.val(), ssf.apply(self.bias.val())),
        }
    }

    /// Normalizes the last dimension.
    ///
    /// # Shapes
    /// `[.., D]` to `[.., D]`
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        let (weight, bias) = self.folded();
        module::layer_norm(x, weight, Some(bias), self.eps)
    }
}
