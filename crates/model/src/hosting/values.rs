//! What differs between fine-tunings of one block, as the kernel reads it.

use burn::tensor::Tensor;
use kinsight_kernels::{
    AdapterNorm, AdapterPlacement, BlockDims, BlockGroup, BlockParams, BlockTensor, LayerSide, LoraParams, PackedBlock,
    PerTensor, Precision,
};

use crate::encoder::Encoder;
use crate::engine::{TakeTensor, fuses, small_tensors};
use crate::parameters::to_vec;
use crate::prompts::PromptRows;
use crate::vit::config::VitConfig;
use crate::vit::{Block, Linear, VisionTransformer};

/// The small parameters of one block of one fine-tuning.
#[derive(Debug)]
pub(super) struct BlockValues {
    /// All but the matrices.
    tensors: PerTensor<Option<Vec<f32>>>,
    /// What is added to qkv, proj, fc1 and fc2.
    sides: [SideValues; 4],
    adapter: Option<(AdapterPlacement, AdapterNorm)>,
    eps: f32,
}

#[derive(Debug)]
struct SideValues {
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

/// Packs the matrices of every block; `None` if a block is of a kind that the kernel does not take.
pub(super) fn pack(model: &VisionTransformer, precision: Precision) -> Option<Vec<PackedBlock>> {
    if !model.blocks.iter().all(fuses) {
        return None;
    }
    let (width, hidden) = (model.config.width, model.config.mlp_hidden);
    let packed = |block: &Block| {
        let weights = block.layers().map(|layer| to_vec(layer.weight.val()));
        PackedBlock::new(width, hidden, weights.each_ref().map(Vec::as_slice), precision).ok()
    };
    model.blocks.iter().map(packed).collect()
}

impl TakeTensor for PerTensor<Option<Vec<f32>>> {
    fn take<const R: usize>(&mut self, tensor: BlockTensor, value: Tensor<R>) {
        self[tensor] = Some(to_vec(value));
    }
}

impl BlockValues {
    /// The values of every block; `None` if a block is of a kind that the kernel does not take.
    pub fn of_encoder(encoder: &Encoder) -> Option<Vec<Self>> {
        let mut prompts = encoder.block_prompts().into_iter();
        encoder.backbone.blocks.iter().map(|block| Self::of_block(block, prompts.next().flatten())).collect()
    }

    fn of_block(block: &Block, prompts: Option<PromptRows>) -> Option<Self> {
        if !fuses(block) || matches!(prompts, Some(PromptRows::PerImage(_))) {
            return None;
        }
        let mut tensors = PerTensor::default();
        small_tensors(block, prompts, &mut tensors);
        Some(Self {
            tensors,
            sides: block.layers().map(SideValues::of),
            adapter: block.adapter.as_ref().map(|adapter| (adapter.placement, adapter.norm)),
            eps: block.norm1.eps as f32,
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
            prompts: self.tensors[BlockTensor::Prompts].as_ref().map_or(0, |rows| rows.len() / config.width),
            outputs,
            width: config.width,
            heads: config.heads,
            hidden: config.mlp_hidden,
            eps: self.eps,
        };
        let tensors = PerTensor::from_fn(|tensor| self.tensors[tensor].as_deref());
        let params = BlockParams { tensors, adapter: self.adapter, ..BlockParams::default() };
        BlockGroup { dims, params, sides: self.sides.each_ref().map(SideValues::side), x, out }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        let len = |values: &Option<Vec<f32>>| values.as_ref().map_or(0, Vec::len);
        let of_side = |side: &SideValues| {
            len(&side.row_scale) + side.low_rank.as_ref().map_or(0, |low_rank| low_rank.a.len() + low_rank.b.len())
        };
        let tensors: usize = self.tensors.iter().map(|(_, values)| len(values)).sum();
        (tensors + self.sides.iter().map(of_side).sum::<usize>()) * size_of::<f32>()
    }
}

impl SideValues {
    fn of(layer: &Linear) -> Self {
        let (lora, row_scale) = layer.side();
        let low_rank = lora.map(|lora| LowRankValues {
            rank: lora.a.val().dims()[0],
            scale: lora.scale as f32,
            a: to_vec(lora.a.val()),
            b: to_vec(lora.b.val()),
        });
        Self { low_rank, row_scale: row_scale.map(to_vec) }
    }

    fn side(&self) -> LayerSide<'_> {
        let low_rank = self.low_rank.as_ref().map(|LowRankValues { rank, scale, a, b }| LoraParams {
            rank: *rank,
            scale: *scale,
            a,
            b,
        });
        LayerSide { low_rank, row_scale: self.row_scale.as_deref() }
    }
}
