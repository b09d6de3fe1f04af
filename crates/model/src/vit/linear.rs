//! A dense layer that keeps its weight as PyTorch does, so that checkpoints load without a transposition.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use crate::parameters::ParameterSource;

/// `y = x Wᵀ + b`; the counterpart of `torch.nn.Linear`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Reads `name.weight` and, if `bias`, `name.bias`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, input: usize, output: usize, bias: bool) -> Self {
        Self {
            weight: source.parameter(&format!("{name}.weight"), [output, input]),
            bias: bias.then(|| source.parameter(&format!("{name}.bias"), [output])),
        }
    }

    /// Applies the layer to the last dimension.
    ///
    /// # Shapes
    /// `[.., in]` to `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::linear(x, self.weight.val().transpose(), self.bias.as_ref().map(|bias| bias.val()))
    }
}
