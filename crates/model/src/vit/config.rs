//! The shape of a vision transformer, independent of its weights.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::transformer::Pooling;
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
    /// Hidden width of the MLP: what its second matrix takes.
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
    /// Whether there is a class token; SigLIP has none.
    #[serde(default = "yes")]
    pub class_token: bool,
    /// Whether class and distillation token have rows of the position embedding; in DeiT-III and with registers only
    /// patches do.
    #[serde(default = "yes")]
    pub class_position: bool,
    /// Register tokens behind the class token (Darcet et al., "Vision Transformers Need Registers", 2024).
    #[serde(default)]
    pub registers: usize,
    /// Base of rotary positions, which then replace the position embedding (DINOv3: 100).
    #[serde(default)]
    pub rotary_theta: Option<f64>,
    /// Whether a LayerNorm stands before the first block (CLIP).
    #[serde(default)]
    pub norm_pre: bool,
    /// Whether the patch projection has a bias; CLIP's has none.
    #[serde(default = "yes")]
    pub patch_bias: bool,
    /// Non-linearity of an MLP without a gate.
    #[serde(default)]
    pub activation: Activation,
    /// Whether MLPs are gated (SwiGLU, as in DINOv2-giant).
    #[serde(default)]
    pub gated_mlp: bool,
    /// Whether attention pooling follows the final norm (SigLIP).
    #[serde(default)]
    pub attention_pool: bool,
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
            class_token: true,
            class_position: true,
            registers: 0,
            rotary_theta: None,
            norm_pre: false,
            patch_bias: true,
            activation: Activation::Gelu,
            gated_mlp: false,
            attention_pool: false,
        }
    }

    /// Patches along one side of the image.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patch tokens.
    pub fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Class and distillation token, as far as there are any.
    pub fn named_tokens(&self) -> usize {
        usize::from(self.class_token) + usize::from(self.distilled)
    }

    /// Tokens before the patch tokens: class token, distillation token, registers.
    pub fn special_tokens(&self) -> usize {
        self.named_tokens() + self.registers
    }

    /// Sequence length without prompts.
    pub fn tokens(&self) -> usize {
        self.special_tokens() + self.patches()
    }

    /// Rows of the position embedding that belong to class and distillation token.
    pub fn special_positions(&self) -> usize {
        if self.class_position { self.named_tokens() } else { 0 }
    }

    /// What stands for an image unless the weights' publisher says otherwise.
    pub fn natural_pooling(&self) -> Pooling {
        match (self.attention_pool, self.class_token) {
            (true, _) => Pooling::Map,
            (false, true) => Pooling::Class,
            (false, false) => Pooling::Avg,
        }
    }

    /// Whether the fused CPU kernel computes these blocks: it knows the exact GELU, no gate and no rotary positions.
    pub fn runs_fused(&self) -> bool {
        self.activation == Activation::Gelu && !self.gated_mlp && self.rotary_theta.is_none()
    }

    /// Checks that this architecture has what `pooling` looks at.
    ///
    /// # Errors
    /// [`ModelError::Config`] says which pooling it has.
    pub fn check_pooling(&self, pooling: Pooling) -> Result<(), ModelError> {
        let lacks = match pooling {
            Pooling::Class if !self.class_token => "class token",
            Pooling::Map if !self.attention_pool => "attention pooling",
            _ => return Ok(()),
        };
        let own = self.natural_pooling().name();
        Err(ModelError::Config {
            message: format!("this backbone has no {lacks}, expected pooling = \"{own}\" or \"avg\""),
        })
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
        if self.distilled && !self.class_token {
            return fail("a distillation token needs a class token".into());
        }
        if let Some(theta) = self.rotary_theta {
            let head_dim = self.width / self.heads;
            if !(head_dim.is_multiple_of(4) && theta.is_finite() && theta > 0.0) {
                return fail(format!(
                    "rotary positions need heads a multiple of 4 wide and a base above 0, found {head_dim} and {theta}"
                ));
            }
        }
        Ok(())
    }
}
