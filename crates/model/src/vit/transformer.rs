//! The backbone: patches, blocks, final norm.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::adapter::AdapterConfig;
use super::attention_pool::AttentionPool;
use super::block::Block;
use super::config::VitConfig;
use super::layer_norm::LayerNorm;
use super::patch_embed::PatchEmbed;
use crate::engine::Compute;
use crate::parameters::ParameterSource;
use crate::prompts::PromptRows;

/// What stands for an image after the last block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The class token.
    #[default]
    Class,
    /// The mean of all tokens but the special ones.
    Avg,
    /// Attention pooling over all tokens, where the backbone has it (SigLIP).
    Map,
}

impl Pooling {
    /// As settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Class => "class",
            Pooling::Avg => "avg",
            Pooling::Map => "map",
        }
    }
}

/// A pre-norm ViT with timm's parameter names.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// Patch projection.
    pub patch_embed: PatchEmbed,
    /// `[1, 1, D]`
    pub cls_token: Option<Param<Tensor<3>>>,
    /// `[1, 1, D]`, in distilled models.
    pub dist_token: Option<Param<Tensor<3>>>,
    /// `[1, R, D]`, in models with registers.
    pub reg_token: Option<Param<Tensor<3>>>,
    /// `[1, N, D]`: class and distillation token (if they have positions), then patches; none with rotary positions.
    pub pos_embed: Option<Param<Tensor<3>>>,
    /// LayerNorm before the first block.
    pub norm_pre: Option<LayerNorm>,
    /// The L blocks.
    pub blocks: Vec<Block>,
    /// Final LayerNorm.
    pub norm: LayerNorm,
    /// Attention pooling behind the final norm.
    pub attn_pool: Option<AttentionPool>,
    /// The architecture these parameters belong to.
    #[module(skip)]
    pub config: VitConfig,
    /// How blocks are computed.
    #[module(skip)]
    pub compute: Compute,
}

impl VisionTransformer {
    /// Builds the model from `source`, whose names are prefixed with `prefix` (empty for a bare checkpoint).
    ///
    /// The last `adapter.blocks` blocks get an adapter.
    pub fn from_source(
        source: &mut impl ParameterSource,
        prefix: &str,
        config: &VitConfig,
        adapter: Option<&AdapterConfig>,
    ) -> Self {
        let at = |name: &str| format!("{prefix}{name}");
        let width = config.width;
        let first_adapter = config.depth - adapter.map_or(0, |a| a.blocks.min(config.depth));
        Self {
            patch_embed: PatchEmbed::from_source(source, &at("patch_embed"), config),
            cls_token: config.class_token.then(|| source.parameter(&at("cls_token"), [1, 1, width])),
            dist_token: config.distilled.then(|| source.parameter(&at("dist_token"), [1, 1, width])),
            reg_token: (config.registers > 0).then(|| source.parameter(&at("reg_token"), [1, config.registers, width])),
            pos_embed: config
                .rotary_theta
                .is_none()
                .then(|| source.parameter(&at("pos_embed"), [1, config.special_positions() + config.patches(), width])),
            norm_pre: config
                .norm_pre
                .then(|| LayerNorm::from_source(source, &at("norm_pre"), width, config.layer_norm_eps)),
            blocks: (0..config.depth)
                .map(|i| {
                    let adapter = adapter.filter(|_| i >= first_adapter);
                    Block::from_source(source, &at(&format!("blocks.{i}")), config, adapter)
                })
                .collect(),
            norm: LayerNorm::from_source(source, &at("norm"), width, config.layer_norm_eps),
            attn_pool: config.attention_pool.then(|| AttentionPool::from_source(source, &at("attn_pool"), config)),
            config: config.clone(),
            compute: Compute::default(),
        }
    }

    /// Tokens with positions, before the first block.
    ///
    /// # Shapes
    /// `[B, 3, image_size, image_size]` to `[B, N, D]`
    pub fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch, width] = [images.dims()[0], self.config.width];
        let repeated = |token: &Param<Tensor<3>>| token.val().expand([batch, token.dims()[1], width]);
        let mut tokens: Vec<Tensor<3>> = self.cls_token.iter().chain(&self.dist_token).map(repeated).collect();
        let mut patches = self.patch_embed.forward(images, self.compute);
        if let Some(positions) = &self.pos_embed {
            let positions = positions.val();
            let with_position = self.config.special_positions();
            for (i, token) in tokens.iter_mut().take(with_position).enumerate() {
                *token = token.clone() + positions.clone().narrow(1, i, 1);
            }
            patches = patches + positions.narrow(1, with_position, self.config.patches());
        }
        tokens.extend(self.reg_token.as_ref().map(repeated));
        tokens.push(patches);
        let tokens = Tensor::cat(tokens, 1);
        match &self.norm_pre {
            None => tokens,
            Some(norm) => norm.forward(tokens),
        }
    }

    /// Runs the blocks; block `i` sees `prompts[i]` (none where the list has ended).
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`, before the final norm
    pub fn run_blocks(&self, tokens: Tensor<3>, prompts: Vec<Option<PromptRows>>) -> Tensor<3> {
        let mut prompts = prompts.into_iter();
        let count = tokens.dims()[1];
        let run = |x, block: &Block| block.forward(x, prompts.next().flatten(), count, self.compute);
        self.blocks.iter().fold(tokens, run)
    }

    /// One vector an image: blocks, final norm, pooling. The last `appended` tokens are not the image's and take no part in
    /// pooling.
    ///
    /// # Shapes
    /// `[B, N + appended, D]` to `[B, D]`
    pub fn features(
        &self,
        tokens: Tensor<3>,
        appended: usize,
        prompts: Vec<Option<PromptRows>>,
        pooling: Pooling,
    ) -> Tensor<2> {
        let mut prompts = prompts.into_iter();
        let run = |x, block| self.run_block(block, x, prompts.next().flatten(), appended, pooling);
        self.pool((0..self.blocks.len()).fold(tokens, run), pooling)
    }

    /// Runs one block; the last one gives only the tokens that pooling reads.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, outputs, D]`
    pub fn run_block(
        &self,
        block: usize,
        x: Tensor<3>,
        prompts: Option<PromptRows>,
        appended: usize,
        pooling: Pooling,
    ) -> Tensor<3> {
        let outputs = self.outputs(block, x.dims()[1], appended, pooling);
        self.blocks[block].forward(x, prompts, outputs, self.compute)
    }

    /// How many of the `tokens` that enter `block` are needed of its output: all of them, but of the last block none that
    /// were `appended`, and the class token alone where nothing else is pooled.
    pub(crate) fn outputs(&self, block: usize, tokens: usize, appended: usize, pooling: Pooling) -> usize {
        match (block + 1 == self.blocks.len(), pooling) {
            (false, _) => tokens,
            (true, Pooling::Class) => 1,
            (true, Pooling::Avg | Pooling::Map) => tokens - appended,
        }
    }

    /// All tokens after the final norm.
    ///
    /// # Shapes
    /// `[B, N, D]` (output of [`Self::run_blocks`]) to `[B, N, D]`
    pub fn normalize(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.norm.forward(tokens)
    }

    /// Final norm and pooling.
    ///
    /// # Shapes
    /// `[B, N, D]` (output of [`Self::run_blocks`]) to `[B, D]`
    pub fn pool(&self, tokens: Tensor<3>, pooling: Pooling) -> Tensor<2> {
        match pooling {
            // LayerNorm acts token by token, so only the class token needs it.
            Pooling::Class => self.norm.forward(tokens.narrow(1, 0, 1).squeeze_dim::<2>(1)),
            Pooling::Avg => {
                let special = self.config.special_tokens();
                let patches = tokens.dims()[1] - special;
                self.norm.forward(tokens.narrow(1, special, patches)).mean_dim(1).squeeze_dim::<2>(1)
            }
            Pooling::Map => {
                #[expect(clippy::expect_used, reason = "settings are held against VitConfig::check_pooling")]
                let pool = self.attn_pool.as_ref().expect("a backbone with attention pooling");
                pool.forward(self.norm.forward(tokens))
            }
        }
    }
}
