//! What differs between fine-tunings of one block, as the kernel reads it.

use burn::tensor::Tensor;
use kinsight_kernels::{
    AdapterNorm, AdapterParams, AdapterPlacement, BlockDims, BlockGroup, BlockVariant, LayerNormParams, LayerVariant,
    LinearParams, LoraParams, PackedBlock, Precision, Prompts,
};

use crate::encoder::Encoder;
use crate::engine::{Compute, Precision as ModelPrecision, fuses};
use crate::prompts::PromptRows;
use crate::vit::adapter::{Adapter, AdapterNorm as ModelAdapterNorm, AdapterPlacement as ModelPlacement};
use crate::vit::config::VitConfig;
use crate::vit::{Attention, Block, LayerNorm, LayerScale, Linear, Mlp, VisionTransformer};

/// The small parameters of one block of one fine-tuning.
#[derive(Debug)]
pub(super) struct BlockValues {
    norm1: NormValues,
    qkv: LayerValues,
    proj: LayerValues,
    layer_scale1: Option<Vec<f32>>,
    norm2: NormValues,
    fc1: LayerValues,
    fc2: LayerValues,
    layer_scale2: Option<Vec<f32>>,
    adapter: Option<AdapterValues>,
    /// `[P, D]`
    prompts: Option<Vec<f32>>,
    eps: f32,
}

/// What a layer has beside its weight.
#[derive(Debug)]
struct LayerValues {
    bias: Option<Vec<f32>>,
    low_rank: Option<LowRankValues>,
    row_scale: Option<Vec<f32>>,
}

#[derive(Debug)]
struct LowRankValues {
    rank: usize,
    scale: f32,
    a: Vec<f32>,
    b: Vec<f32>,
}

#[derive(Debug)]
struct NormValues {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct AdapterValues {
    placement: AdapterPlacement,
    norm_position: AdapterNorm,
    bottleneck: usize,
    norm: NormValues,
    down: Vec<f32>,
    down_bias: Option<Vec<f32>>,
    up: Vec<f32>,
    up_bias: Option<Vec<f32>>,
}

/// The values of a tensor, row-major.
pub(super) fn to_vec<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Packs the matrices of every block; `None` if a block is of a kind that the kernel does not take.
pub(super) fn pack(model: &VisionTransformer, compute: Compute) -> Option<Vec<PackedBlock>> {
    let precision = match compute.precision {
        ModelPrecision::F32 => Precision::F32,
        ModelPrecision::Bf16 => Precision::Bf16,
    };
    if !model.blocks.iter().all(fuses) {
        return None;
    }
    let (width, hidden) = (model.config.width, model.config.mlp_hidden);
    model
        .blocks
        .iter()
        .map(|block| {
            let weights = [&block.attn.qkv, &block.attn.proj, &block.mlp.fc1, &block.mlp.fc2]
                .map(|linear| to_vec(linear.weight.val()));
            let params = [0, 1, 2, 3].map(|i| LinearParams::new(&weights[i], None));
            PackedBlock::new(width, hidden, params, precision).ok()
        })
        .collect()
}

impl BlockValues {
    /// The values of every block; `None` if a block is of a kind that the kernel does not take.
    pub fn of_encoder(encoder: &Encoder) -> Option<Vec<Self>> {
        let mut prompts = encoder.block_prompts().into_iter();
        encoder.backbone.blocks.iter().map(|block| Self::of_block(block, prompts.next().flatten())).collect()
    }

    fn of_block(block: &Block, prompts: Option<PromptRows>) -> Option<Self> {
        // Taken apart field by field, so that whatever a block learns to hold has to be thought of here.
        let Block { norm1, attn, ls1, norm2, mlp, ls2, adapter, packed: _ } = block;
        let Attention { qkv, proj, heads: _, rotary: _ } = attn;
        let Mlp { fc1, fc2, activation: _, gated: _ } = mlp;
        if !fuses(block) {
            return None;
        }
        let prompts = match prompts {
            None => None,
            Some(PromptRows::Shared(rows)) => Some(to_vec(rows)),
            Some(PromptRows::PerImage(_)) => return None,
        };
        Some(Self {
            eps: norm1.eps as f32,
            norm1: NormValues::of(norm1),
            qkv: LayerValues::of(qkv),
            proj: LayerValues::of(proj),
            layer_scale1: scale(ls1),
            norm2: NormValues::of(norm2),
            fc1: LayerValues::of(fc1),
            fc2: LayerValues::of(fc2),
            layer_scale2: scale(ls2),
            adapter: adapter.as_ref().map(AdapterValues::of),
            prompts,
        })
    }

    /// This block's part of a mixed batch.
    pub fn group<'a>(
        &'a self,
        config: &VitConfig,
        [batch, tokens, outputs]: [usize; 3],
        x: &'a [f32],
        out: &'a mut [f32],
    ) -> BlockGroup<'a> {
        let dims = BlockDims {
            batch,
            tokens,
            prompts: self.prompts.as_ref().map_or(0, |rows| rows.len() / config.width),
            outputs,
            width: config.width,
            heads: config.heads,
            hidden: config.mlp_hidden,
            eps: self.eps,
        };
        let variant = BlockVariant {
            norm1: self.norm1.params(),
            qkv: self.qkv.variant(),
            proj: self.proj.variant(),
            layer_scale1: self.layer_scale1.as_deref(),
            norm2: self.norm2.params(),
            fc1: self.fc1.variant(),
            fc2: self.fc2.variant(),
            layer_scale2: self.layer_scale2.as_deref(),
            adapter: self.adapter.as_ref().map(AdapterValues::params),
            prompts: self.prompts.as_deref().map(Prompts::Shared),
        };
        BlockGroup { dims, variant, x, out }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        let optional = |values: &Option<Vec<f32>>| values.as_ref().map_or(0, Vec::len);
        let norm = |norm: &NormValues| norm.weight.len() + norm.bias.len();
        let adapter = self
            .adapter
            .as_ref()
            .map_or(0, |a| norm(&a.norm) + a.down.len() + a.up.len() + optional(&a.down_bias) + optional(&a.up_bias));
        let layers = [&self.qkv, &self.proj, &self.fc1, &self.fc2].map(LayerValues::len);
        let vectors = [&self.layer_scale1, &self.layer_scale2, &self.prompts].map(optional);
        let floats = norm(&self.norm1) + norm(&self.norm2) + adapter + layers.iter().chain(&vectors).sum::<usize>();
        floats * size_of::<f32>()
    }
}

fn bias(linear: &Linear) -> Option<Vec<f32>> {
    linear.bias.as_ref().map(|bias| to_vec(bias.val()))
}

fn scale(scale: &Option<LayerScale>) -> Option<Vec<f32>> {
    scale.as_ref().map(|scale| to_vec(scale.gamma.val()))
}

impl LayerValues {
    fn of(layer: &Linear) -> Self {
        let beside = layer.beside_weight();
        let low_rank = beside.low_rank.map(|lora| LowRankValues {
            rank: lora.a.val().dims()[0],
            scale: lora.scale as f32,
            a: to_vec(lora.a.val()),
            b: to_vec(lora.b.val()),
        });
        Self { bias: beside.bias.map(to_vec), low_rank, row_scale: beside.row_scale.map(to_vec) }
    }

    fn variant(&self) -> LayerVariant<'_> {
        let low_rank = self.low_rank.as_ref().map(|LowRankValues { rank, scale, a, b }| LoraParams {
            rank: *rank,
            scale: *scale,
            a,
            b,
        });
        LayerVariant { bias: self.bias.as_deref(), low_rank, row_scale: self.row_scale.as_deref() }
    }

    fn len(&self) -> usize {
        let optional = |values: &Option<Vec<f32>>| values.as_ref().map_or(0, Vec::len);
        let low_rank = self.low_rank.as_ref().map_or(0, |low_rank| low_rank.a.len() + low_rank.b.len());
        optional(&self.bias) + optional(&self.row_scale) + low_rank
    }
}

impl NormValues {
    fn of(norm: &LayerNorm) -> Self {
        let (weight, bias) = norm.folded();
        Self { weight: to_vec(weight), bias: to_vec(bias) }
    }

    fn params(&self) -> LayerNormParams<'_> {
        LayerNormParams { weight: &self.weight, bias: &self.bias }
    }
}

impl AdapterValues {
    fn of(adapter: &Adapter) -> Self {
        Self {
            placement: match adapter.placement {
                ModelPlacement::Parallel => AdapterPlacement::Parallel,
                ModelPlacement::Sequential => AdapterPlacement::Sequential,
            },
            norm_position: match adapter.norm {
                ModelAdapterNorm::Pre => AdapterNorm::Pre,
                ModelAdapterNorm::Post => AdapterNorm::Post,
            },
            bottleneck: adapter.down_proj.weight.dims()[0],
            norm: NormValues::of(&adapter.adapter_ln),
            down: to_vec(adapter.down_proj.weight.val()),
            down_bias: bias(&adapter.down_proj),
            up: to_vec(adapter.up_proj.weight.val()),
            up_bias: bias(&adapter.up_proj),
        }
    }

    fn params(&self) -> AdapterParams<'_> {
        AdapterParams {
            placement: self.placement,
            norm_position: self.norm_position,
            bottleneck: self.bottleneck,
            norm: self.norm.params(),
            down: LinearParams::new(&self.down, self.down_bias.as_deref()),
            up: LinearParams::new(&self.up, self.up_bias.as_deref()),
        }
    }
}
