//! The feed-forward half of a block.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::activation::Activation;
use super::config::VitConfig;
use super::linear::Linear;
use crate::parameters::ParameterSource;

/// `fc2(act(fc1(x)))`, or with a gate `fc2(silu(a) * b)` where `a` and `b` are the halves of `fc1(x)` (SwiGLU,
/// Shazeer 2020); timm's `Mlp` and `SwiGLUPacked`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[M, D]`, or `[2M, D]` with a gate.
    pub fc1: Linear,
    /// `[D, M]`
    pub fc2: Linear,
    /// The non-linearity without a gate.
    #[module(skip)]
    pub activation: Activation,
    /// Whether the first half of `fc1` gates the second.
    #[module(skip)]
    pub gated: bool,
}

impl Mlp {
    /// Reads `name.fc1` and `name.fc2`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, config: &VitConfig) -> Self {
        let (width, hidden) = (config.width, config.mlp_hidden);
        let inner = if config.gated_mlp { 2 * hidden } else { hidden };
        Self {
            fc1: Linear::from_source(source, &format!("{name}.fc1"), width, inner, true),
            fc2: Linear::from_source(source, &format!("{name}.fc2"), hidden, width, true),
            activation: config.activation,
            gated: config.gated_mlp,
        }
    }

    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = self.fc1.forward(x);
        self.fc2.forward(match self.gated {
            false => self.activation.forward(inner),
            true => {
                let hidden = inner.dims()[2] / 2;
                activation::silu(inner.clone().narrow(2, 0, hidden)) * inner.narrow(2, hidden, hidden)
            }
        })
    }
}
