//! The non-linearities that families of vision transformers differ in.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// The non-linearity of an MLP without a gate; a gated one always uses SiLU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x Φ(x)`, exact (erf): all but the families below.
    #[default]
    Gelu,
    /// `x sigmoid(1.702 x)`: OpenAI's CLIP and those trained with its code.
    QuickGelu,
    /// GELU by its tanh approximation: SigLIP in transformers.
    GeluTanh,
}

impl Activation {
    /// Applies it to every element.
    pub fn forward<const R: usize>(self, x: Tensor<R>) -> Tensor<R> {
        match self {
            Self::Gelu => activation::gelu(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            Self::GeluTanh => activation::gelu_approximate(x),
        }
    }
}
