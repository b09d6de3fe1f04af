//! One image's way through the encoder, kept as a sum over its patches.

use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::AttentionMap;
use super::embed;
use super::summands::{Summands, constant_value, outputs, project};
use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::parameters::to_vec;
use crate::prompts::PromptRows;
use crate::vit::{AttentionPool, Block, LayerNorm, Pooling};

/// The sum of the parts may differ from the embedding by this much; rounding through twelve blocks causes about 1e-5.
const ALLOWED_DIFFERENCE: f64 = 1e-3;

/// The summands after the patches': special tokens, prompts, and at the end what is constant.
const REST: usize = 3;

/// An image's embedding in parts, and where the pooled token looked.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What the pooled token read in each block, first block first; with mean or attention pooling, what patches read
    /// on average. Attention pooling itself comes last.
    pub attention: Vec<AttentionMap>,
    /// The embedding, `[E]`, of length one: the sum of all parts.
    pub embedding: Vec<f32>,
    /// Part of each patch, `[grid * grid, E]`.
    pub patches: Vec<f32>,
    /// What is not from a patch.
    pub rest: Vec<RestPart>,
    /// Final patch tokens, `[grid * grid, D]`, rows of length one.
    pub(super) tokens: Vec<f32>,
    pub(super) width: usize,
    grid: usize,
}

/// A part of an embedding that no patch gave.
#[derive(Clone, Debug, PartialEq)]
pub struct RestPart {
    /// `special tokens`, `prompts` or `biases`.
    pub name: &'static str,
    /// `[E]`
    pub part: Vec<f32>,
}

impl Trace {
    /// Patches along one side of the image.
    pub fn grid(&self) -> usize {
        self.grid
    }

    /// What the pooled token read in the last block.
    pub fn last_attention(&self) -> Option<&AttentionMap> {
        self.attention.last()
    }

    pub(super) fn into_last_attention(mut self) -> AttentionMap {
        let grid = self.grid;
        let none = || AttentionMap {
            grid,
            patches: vec![0.0; grid * grid],
            heads: Vec::new(),
            special: Vec::new(),
            prompts: Vec::new(),
        };
        self.attention.pop().unwrap_or_else(none)
    }
}

/// Follows `image` through `encoder`.
///
/// # Shapes
/// `image` `[3, image_size, image_size]`, preprocessed
///
/// # Errors
/// [`ModelError::Input`] if the image has another size; [`ModelError::Unexplained`] if the parts do not sum to the
/// embedding, as with a kind of block that this module does not know.
pub fn trace(encoder: &Encoder, image: &[f32]) -> Result<Trace, ModelError> {
    let encoder = encoder.valid();
    let vit = &encoder.backbone;
    let (special, grid) = (vit.config.special_tokens(), vit.config.grid());
    let mut tokens = embed(&encoder, image)?;
    let mut class = (encoder.pooling == Pooling::Class).then(|| start(&tokens, grid));
    let mut attention = Vec::with_capacity(vit.blocks.len());
    let mut prompts = encoder.block_prompts().into_iter();
    for block in &vit.blocks {
        let prompts = prompts.next().flatten();
        let step = read(block, &tokens, prompts.clone(), encoder.pooling, special);
        attention.push(AttentionMap::new(step.weights.clone(), step.prompts, special, grid));
        class = class.map(|class| step.advance(block, class, special));
        tokens = block.forward_composed(tokens, prompts);
    }
    let pooled = match (class, &vit.attn_pool) {
        (Some(class), _) => class.norm(&vit.norm),
        (None, Some(pool)) if encoder.pooling == Pooling::Map => {
            let (pooled, weights) = attended_by_pool(pool, &vit.norm, tokens.clone(), special);
            attention.push(AttentionMap::new(weights, 0, special, grid));
            pooled
        }
        (None, _) => mean_of_patches(&encoder, &tokens, special),
    };
    let parts = match &encoder.head {
        None => pooled,
        Some(head) => pooled.norm(&head.norm).linear(&head.projection),
    };
    let length = parts.total().square().sum_dim(1).sqrt().clamp_min(1e-12); // [1, 1]
    let mut parts = to_vec(parts.0 / length);
    let embedding = to_vec(encoder.embedding_of(tokens.clone()));
    let difference = difference(&parts, &embedding);
    if difference.is_nan() || difference > ALLOWED_DIFFERENCE {
        return Err(ModelError::Unexplained { difference, allowed: ALLOWED_DIFFERENCE });
    }
    let rest = parts.split_off(grid * grid * embedding.len());
    let names = ["special tokens", "prompts", "biases"];
    let rest = names.iter().zip(rest.chunks_exact(embedding.len()));
    let width = vit.config.width;
    let tokens = to_vec(vit.normalize(tokens).narrow(1, special, grid * grid).squeeze_dim::<2>(0));
    Ok(Trace {
        attention,
        embedding,
        patches: parts,
        rest: rest.map(|(name, part)| RestPart { name, part: part.to_vec() }).collect(),
        tokens: unit_rows(tokens, width),
        width,
        grid,
    })
}

/// The class token before the first block: all of it counts as special token.
fn start(tokens: &Tensor<3>, grid: usize) -> Summands {
    let width = tokens.dims()[2];
    let empty = |rows| Tensor::<2>::zeros([rows, width], &tokens.device());
    let token = tokens.clone().narrow(1, 0, 1).squeeze_dim::<2>(0);
    Summands(Tensor::cat(vec![empty(grid * grid), token, empty(REST - 1)], 0))
}

/// What the pooled token reads in one block.
struct Read {
    /// `[H, P + N]`
    weights: Tensor<2>,
    /// What comes out of each token, `[P + N, D]`, without the constant part.
    parts: Tensor<2>,
    /// P
    prompts: usize,
}

fn read(block: &Block, tokens: &Tensor<3>, prompts: Option<PromptRows>, pooling: Pooling, special: usize) -> Read {
    let (tokens, prompts) = match prompts {
        None => (tokens.clone(), 0),
        Some(rows) => {
            let rows = rows.for_batch(1);
            let count = rows.dims()[1];
            (Tensor::cat(vec![rows, tokens.clone()], 1), count)
        }
    };
    let count = tokens.dims()[1];
    let (weights, values) = block.attn.weights_and_values(block.norm1.forward(tokens), prompts);
    let (weights, values) = (weights.squeeze_dim::<3>(0), values.squeeze_dim::<3>(0)); // [H, P+N, P+N], [H, P+N, D/H]
    let weights = match pooling {
        Pooling::Class => weights.narrow(1, prompts, 1).squeeze_dim::<2>(1),
        Pooling::Avg | Pooling::Map => {
            let first = prompts + special;
            weights.narrow(1, first, count - first).mean_dim(1).squeeze_dim::<2>(1)
        }
    };
    let constant = constant_value(&block.norm1, &block.attn.qkv);
    let parts = Summands(outputs(weights.clone(), values, constant, &block.attn.proj));
    Read { weights, parts: parts.layer_scale(&block.ls1).0, prompts }
}

impl Read {
    /// The class token after `block`.
    fn advance(self, block: &Block, class: Summands, special: usize) -> Summands {
        let Self { weights, parts, prompts } = self;
        let count = parts.dims()[0];
        let patches = count - prompts - special;
        let heads = weights.dims()[0];
        let to_itself = weights.narrow(1, prompts, 1).reshape([heads]);
        let width = parts.dims()[1];
        let sum = |from: usize, rows: usize| match rows {
            0 => Tensor::<2>::zeros([1, width], &parts.device()),
            _ => parts.clone().narrow(0, from, rows).sum_dim(0),
        };
        // The class token's own part is distributed over its summands below; the others are read as they stand.
        let read = Summands(Tensor::cat(
            vec![
                parts.clone().narrow(0, prompts + special, patches),
                sum(prompts + 1, special - 1),
                sum(0, prompts),
                Tensor::zeros([1, width], &parts.device()),
            ],
            0,
        ));
        let constant = Summands(project(&block.attn.proj, constant_value(&block.norm1, &block.attn.qkv)));
        let constant = match &block.attn.proj.bias {
            None => constant,
            Some(bias) => constant.plus_constant(bias.val()),
        };
        let constant = constant.layer_scale(&block.ls1).0.squeeze_dim::<1>(0);
        let attended = class.clone().attended(block, to_itself);
        class.plus(attended).plus(read).plus_constant(constant).feed_forward(block)
    }
}

/// Attention pooling: what the latent reads from each token, and its attention `[H, N]`.
fn attended_by_pool(
    pool: &AttentionPool,
    norm: &LayerNorm,
    tokens: Tensor<3>,
    special: usize,
) -> (Summands, Tensor<2>) {
    let (weights, values) = pool.weights_and_values(norm.forward(tokens));
    let weights = weights.squeeze_dim::<3>(0).squeeze_dim::<2>(1); // [H, N]
    let constant = constant_value(norm, &pool.kv);
    let parts = outputs(weights.clone(), values.squeeze_dim::<3>(0), constant.clone(), &pool.proj);
    let [count, width] = parts.dims();
    let empty = |rows| Tensor::<2>::zeros([rows, width], &parts.device());
    let of_special = match special {
        0 => empty(1),
        _ => parts.clone().narrow(0, 0, special).sum_dim(0),
    };
    let patches = parts.clone().narrow(0, special, count - special);
    let read = Summands(Tensor::cat(vec![patches, of_special, empty(REST - 1)], 0));
    let constant = Summands(project(&pool.proj, constant));
    let constant = match &pool.proj.bias {
        None => constant,
        Some(bias) => constant.plus_constant(bias.val()),
    };
    let x = read.plus_constant(constant.0.squeeze_dim::<1>(0));
    (x.clone().plus(x.norm(&pool.norm).mlp(&pool.mlp)), weights)
}

/// Mean pooling: each patch's own final token, a constant apart.
fn mean_of_patches(encoder: &Encoder, tokens: &Tensor<3>, special: usize) -> Summands {
    let norm = &encoder.backbone.norm;
    let patches = tokens.dims()[1] - special;
    let normed = norm.forward(tokens.clone().narrow(1, special, patches)).squeeze_dim::<2>(0);
    let each = (normed - norm.bias.val().unsqueeze::<2>()).div_scalar(patches as f64);
    let width = each.dims()[1];
    let rest = Tensor::<2>::zeros([REST, width], &each.device());
    Summands(Tensor::cat(vec![each, rest], 0)).plus_constant(norm.bias.val())
}

/// Divides each row of `width` by its length.
fn unit_rows(mut rows: Vec<f32>, width: usize) -> Vec<f32> {
    for row in rows.chunks_exact_mut(width) {
        let length = row.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt().max(1e-12);
        row.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
    rows
}

/// How far the sum of all parts is from the embedding that the encoder computes.
fn difference(parts: &[f32], embedding: &[f32]) -> f64 {
    let sums = (0..embedding.len()).map(|column| parts.iter().skip(column).step_by(embedding.len()).sum::<f32>());
    let squares = sums.zip(embedding).map(|(sum, value)| f64::from(sum - value).powi(2));
    squares.sum::<f64>().sqrt()
}
