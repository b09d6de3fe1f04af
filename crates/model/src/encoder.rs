//! The embedding model: a backbone with its fine-tuning and head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::attach::{attach, attached_values, is_attached};
use crate::backbone::Backbone;
use crate::error::ModelError;
use crate::head::{EmbeddingHead, l2_normalize};
use crate::parameters::{ParameterSource, normal_values, set_trainable, uniform_values};
use crate::prompts::{PromptRows, PromptTables};
use crate::tuning::Tuning;
use crate::vit::adapter::AdapterInit;
use crate::vit::config::VitConfig;
use crate::vit::{Pooling, VisionTransformer};

/// Images in, unit embeddings out.
#[derive(Module, Debug)]
pub struct Encoder {
    /// The vision transformer, adapters included.
    pub backbone: VisionTransformer,
    /// Visual prompts.
    pub prompts: Option<PromptTables>,
    /// Embedding head; without one the pooled token is the embedding.
    pub head: Option<EmbeddingHead>,
    /// Class token or mean.
    #[module(skip)]
    pub pooling: Pooling,
    /// Whether the prompts stay among the tokens through all blocks.
    #[module(skip)]
    pub shallow_prompts: bool,
}

impl Encoder {
    /// Builds the encoder; the backbone's names carry the prefix `backbone.`.
    pub fn from_source(source: &mut impl ParameterSource, config: &VitConfig, tuning: &Tuning) -> Self {
        let width = config.width;
        let mut backbone = VisionTransformer::from_source(source, "backbone.", config, tuning.adapter.as_ref());
        attach(&mut backbone, source, "backbone.", tuning);
        Self {
            backbone,
            prompts: tuning.prompts.map(|schedule| PromptTables::from_source(source, "prompts", 1, width, schedule)),
            head: tuning.embedding.map(|size| EmbeddingHead::from_source(source, "head", width, size)),
            pooling: tuning.pooling.unwrap_or_default(),
            shallow_prompts: tuning.shallow_prompts,
        }
    }

    /// The encoder of a backbone to which nothing is attached: its pooled token is the embedding; `None` pools as the
    /// backbone was trained.
    ///
    /// # Errors
    /// [`ModelError::Weights`] lists every tensor that does not fit; [`ModelError::Config`] if the backbone cannot pool so.
    pub fn bare(backbone: &Backbone, pooling: Option<Pooling>, device: &Device) -> Result<Self, ModelError> {
        let pooling = pooling.unwrap_or(backbone.pooling);
        backbone.config.check_pooling(pooling)?;
        Ok(Self { backbone: backbone.load(device)?, prompts: None, head: None, pooling, shallow_prompts: false })
    }

    /// Makes exactly what `tuning` declares require gradients.
    #[must_use]
    pub fn with_trainable(self, tuning: &Tuning) -> Self {
        Self {
            backbone: set_trainable(self.backbone, |name| tuning.trains_in_backbone(name)),
            prompts: set_trainable(self.prompts, |_| true),
            head: set_trainable(self.head, |_| true),
            ..self
        }
    }

    /// Tokens of `images` before the first block; both towers of a proxy method start from them.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` to `[B, N, D]`
    pub fn embed_tokens(&self, images: Tensor<4>) -> Tensor<3> {
        self.backbone.embed(images)
    }

    /// Visual prompts of each block; none if they are shallow.
    pub fn block_prompts(&self) -> Vec<Option<PromptRows>> {
        (0..self.backbone.blocks.len()).map(|block| self.prompts_of(block)).collect()
    }

    fn prompts_of(&self, block: usize) -> Option<PromptRows> {
        self.prompts.as_ref().filter(|_| !self.shallow_prompts)?.shared_in(block)
    }

    /// `tokens` with shallow prompts behind them, and how many these are; attention does not see the order of tokens.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, N + P, D]`
    pub fn append_shallow_prompts(&self, tokens: Tensor<3>) -> (Tensor<3>, usize) {
        let rows = self.prompts.as_ref().filter(|_| self.shallow_prompts).and_then(|prompts| prompts.shared_in(0));
        let Some(rows) = rows else { return (tokens, 0) };
        let rows = rows.for_batch(tokens.dims()[0]);
        let count = rows.dims()[1];
        (Tensor::cat(vec![tokens, rows], 1), count)
    }

    /// Embeddings of tokens from [`Self::embed_tokens`], unit length.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, E]`
    pub fn encode_tokens(&self, tokens: Tensor<3>) -> Tensor<2> {
        let (tokens, appended) = self.append_shallow_prompts(tokens);
        self.embedding_of((0..self.backbone.blocks.len()).fold(tokens, |x, block| self.run_block(block, x, appended)))
    }

    /// Runs one block with its prompts, on tokens of which the last `appended` are shallow prompts.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, N, D]`; the last block gives only the tokens that pooling reads
    pub fn run_block(&self, block: usize, tokens: Tensor<3>, appended: usize) -> Tensor<3> {
        self.backbone.run_block(block, tokens, self.prompts_of(block), appended, self.pooling)
    }

    /// Embeddings of the tokens after the last block, before the final norm; unit length.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, E]`
    pub fn embedding_of(&self, tokens: Tensor<3>) -> Tensor<2> {
        let pooled = self.backbone.pool(tokens, self.pooling);
        l2_normalize(match &self.head {
            Some(head) => head.forward(pooled),
            None => pooled,
        })
    }

    /// Unit embeddings of `images`.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` to `[B, E]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.encode_tokens(self.embed_tokens(images))
    }

    /// Size of an embedding.
    pub fn embedding_size(&self) -> usize {
        self.head.as_ref().map_or(self.backbone.config.width, EmbeddingHead::embedding_size)
    }
}

/// Draws the starting values of what a fine-tuning adds, and takes the backbone from another source.
pub struct FreshTuning<'a, S> {
    backbone: &'a mut S,
    tuning: &'a Tuning,
    rng: &'a mut ChaCha8Rng,
}

impl<'a, S: ParameterSource> FreshTuning<'a, S> {
    /// `backbone` is asked for names without the `backbone.` prefix.
    pub fn new(backbone: &'a mut S, tuning: &'a Tuning, rng: &'a mut ChaCha8Rng) -> Self {
        Self { backbone, tuning, rng }
    }
}

impl<S: ParameterSource> ParameterSource for FreshTuning<'_, S> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        if name.contains(".adapter.") {
            let init = self.tuning.adapter.as_ref().map_or(AdapterInit::Lora, |adapter| adapter.init);
            return adapter_values(name, shape, init, self.rng);
        }
        if is_attached(name) {
            return attached_values(name, shape, self.rng);
        }
        if let Some(inner) = name.strip_prefix("backbone.") {
            return self.backbone.values(inner, shape);
        }
        match shape {
            [rows, count, width] => {
                normal_values(self.rng, rows * count * width, PromptTables::init_std(*rows, *count, *width))
            }
            _ => EmbeddingHead::initial_values(name, shape, self.rng),
        }
    }

    fn device(&self) -> &Device {
        self.backbone.device()
    }
}

fn adapter_values(name: &str, shape: &[usize], init: AdapterInit, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let count = shape.iter().product();
    match (shape, init) {
        ([_, _], AdapterInit::Bert) => normal_values(rng, count, 0.02),
        // Kaiming uniform with a = sqrt(5), as torch.nn.Linear: bound 1 / sqrt(inputs).
        ([_, inputs], AdapterInit::Lora) if name.contains("down_proj") => {
            uniform_values(rng, count, (*inputs as f64).powf(-0.5))
        }
        _ if name.ends_with("adapter_ln.weight") => vec![1.0; count],
        _ => vec![0.0; count],
    }
}
