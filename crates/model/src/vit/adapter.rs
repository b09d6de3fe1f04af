//! Bottleneck adapters inside a block (Houlsby et al. 2019; Chen et al., AdaptFormer, 2022).

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::layer_norm::LayerNorm;
use super::linear::Linear;
use crate::parameters::ParameterSource;

pub use kinsight_kernels::{AdapterNorm, AdapterPlacement};

/// How an adapter's projections start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterInit {
    /// Down: Kaiming uniform; up: zero, so that the adapter starts as nothing.
    Lora,
    /// Both normal with standard deviation 0.02.
    Bert,
}

/// Options of the adapters of a backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Width of the bottleneck.
    pub bottleneck: usize,
    /// How many of the last blocks get one.
    pub blocks: usize,
    /// Parallel to the MLP or behind it.
    pub placement: AdapterPlacement,
    /// Side of the adapter's LayerNorm.
    pub norm: AdapterNorm,
    /// Starting values.
    pub init: AdapterInit,
}

impl Default for AdapterConfig {
    /// The best adapter row of the paper's CUB table: 256 wide in 7 blocks.
    fn default() -> Self {
        Self {
            bottleneck: 256,
            blocks: 7,
            placement: AdapterPlacement::Parallel,
            norm: AdapterNorm::Pre,
            init: AdapterInit::Lora,
        }
    }
}

/// `up(relu(down(x)))` with a LayerNorm before or after.
#[derive(Module, Debug)]
pub struct Adapter {
    /// `[R, D]`
    pub down_proj: Linear,
    /// `[D, R]`
    pub up_proj: Linear,
    /// Epsilon 1e-5, as in the authors' code.
    pub adapter_ln: LayerNorm,
    /// Parallel to the MLP or behind it.
    #[module(skip)]
    pub placement: AdapterPlacement,
    /// Side of the LayerNorm.
    #[module(skip)]
    pub norm: AdapterNorm,
}

impl Adapter {
    /// Reads `name.{down_proj, up_proj, adapter_ln}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, width: usize, config: &AdapterConfig) -> Self {
        Self {
            down_proj: Linear::from_source(source, &format!("{name}.down_proj"), width, config.bottleneck, true),
            up_proj: Linear::from_source(source, &format!("{name}.up_proj"), config.bottleneck, width, true),
            adapter_ln: LayerNorm::from_source(source, &format!("{name}.adapter_ln"), width, 1e-5),
            placement: config.placement,
            norm: config.norm,
        }
    }

    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let bottleneck = |x| self.up_proj.forward(activation::relu(self.down_proj.forward(x)));
        match self.norm {
            AdapterNorm::Pre => bottleneck(self.adapter_ln.forward(x)),
            AdapterNorm::Post => self.adapter_ln.forward(bottleneck(x)),
        }
    }
}
