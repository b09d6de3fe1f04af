//! The patch projection: a convolution whose stride is its kernel, computed as a matrix product over patches.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use super::config::VitConfig;
use super::scale_shift::ScaleShift;
use crate::parameters::ParameterSource;

/// Projects non-overlapping patches to tokens; weights have the layout of `torch.nn.Conv2d`.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The convolution's parameters.
    pub proj: PatchProjection,
}

/// Kernel and bias of the patch convolution.
#[derive(Module, Debug)]
pub struct PatchProjection {
    /// `[D, 3, patch, patch]`
    pub weight: Param<Tensor<4>>,
    /// `[D]`; CLIP has none.
    pub bias: Option<Param<Tensor<1>>>,
    /// Scale and shift of the patch tokens.
    pub ssf: Option<ScaleShift>,
}

impl PatchEmbed {
    /// Reads `patch_embed.proj.{weight, bias}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, config: &VitConfig) -> Self {
        let patch = config.patch_size;
        Self {
            proj: PatchProjection {
                weight: source.parameter(&format!("{name}.proj.weight"), [config.width, 3, patch, patch]),
                bias: config.patch_bias.then(|| source.parameter(&format!("{name}.proj.bias"), [config.width])),
                ssf: None,
            },
        }
    }

    /// Patch tokens in row-major order.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` to `[B, H/patch * W/patch, D]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = images.dims();
        let [features, _, patch, _] = self.proj.weight.dims();
        let (rows, columns) = (height / patch, width / patch);
        let patches = images
            .reshape([batch, channels, rows, patch, columns, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * patch * patch]);
        let kernel = self.proj.weight.val().reshape([features, channels * patch * patch]);
        let bias = self.proj.bias.as_ref().map(|bias| bias.val());
        let (kernel, bias) = match &self.proj.ssf {
            None => (kernel, bias),
            Some(ssf) => (ssf.scale_rows(kernel), Some(ssf.shift_bias(bias))),
        };
        module::linear(patches, kernel.transpose(), bias)
    }
}
