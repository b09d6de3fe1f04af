//! The feed-forward half of a block.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::config::VitConfig;
use super::linear::Linear;
use crate::parameters::ParameterSource;

/// `fc2(gelu(fc1(x)))` with the exact (erf) GELU; timm's `Mlp`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[M, D]`
    pub fc1: Linear,
    /// `[D, M]`
    pub fc2: Linear,
}

impl Mlp {
    /// Reads `name.fc1` and `name.fc2`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, config: &VitConfig) -> Self {
        Self {
            fc1: Linear::from_source(source, &format!("{name}.fc1"), config.width, config.mlp_hidden, true),
            fc2: Linear::from_source(source, &format!("{name}.fc2"), config.mlp_hidden, config.width, true),
        }
    }

    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(activation::gelu(self.fc1.forward(x)))
    }
}
