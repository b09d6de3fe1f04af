//! The shape of a vision transformer, independent of its weights.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;

/// Architecture of a pre-norm ViT with timm's semantics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Side of the square input image, in pixels.
    pub image_size: usize,
    /// Side of a square patch, in pixels; also the stride.
    pub patch_size: usize,
    /// Token width D.
    pub width: usize,
    /// Number of blocks L.
    pub depth: usize,
    /// Attention heads H; D must be a multiple of it.
    pub heads: usize,
    /// Hidden width of the MLP.
    pub mlp_hidden: usize,
    /// Whether the fused qkv projection has a bias.
    #[serde(default = "yes")]
    pub qkv_bias: bool,
    /// Whether a distillation token follows the class token (distilled DeiT).
    #[serde(default)]
    pub distilled: bool,
    /// Whether residual branches are scaled by a learned vector (LayerScale, as in DeiT-III and DINOv2).
    #[serde(default)]
    pub layer_scale: bool,
    /// Epsilon of every LayerNorm of the backbone; timm's ViTs use 1e-6.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
}

fn yes() -> bool {
    true
}

fn default_eps() -> f64 {
    1e-6
}

impl VitConfig {
    /// A plain ViT with MLP ratio 4, qkv bias and no extras.
    pub fn new(image_size: usize, patch_size: usize, width: usize, depth: usize, heads: usize) -> Self {
        Self {
            image_size,
            patch_size,
            width,
            depth,
            heads,
            mlp_hidden: 4 * width,
            qkv_bias: true,
            distilled: false,
            layer_scale: false,
            layer_norm_eps: default_eps(),
        }
    }

    /// Patches along one side of the image.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Tokens before the patch tokens: the class token, and the distillation token if there is one.
    pub fn special_tokens(&self) -> usize {
        1 + usize::from(self.distilled)
    }

    /// Sequence length without prompts.
    pub fn tokens(&self) -> usize {
        self.special_tokens() + self.grid() * self.grid()
    }

    /// Checks that the numbers describe a transformer.
    ///
    /// # Errors
    /// [`ModelError::Config`] names the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        let fail = |message: String| Err(ModelError::Config { message });
        let sizes = [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("mlp_hidden", self.mlp_hidden),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return fail(format!("{name} is 0, expected at least 1"));
        }
        if !self.width.is_multiple_of(self.heads) {
            return fail(format!("width {} is not a multiple of heads {}", self.width, self.heads));
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            return fail(format!("image_size {} is not a multiple of patch_size {}", self.image_size, self.patch_size));
        }
        Ok(())
    }
}
