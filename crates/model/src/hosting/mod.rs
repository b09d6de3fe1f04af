//! Many fine-tunings over one frozen backbone in one process.
//!
//! A server with many collections, each with its own fine-tuning, must not hold a backbone for each, nor run a batch
//! for each. Here the frozen tensors exist once and are shared by reference, the matrices of the
//! blocks are packed for the kernel once and kept, and images of different fine-tunings go through the blocks in one
//! batch: prompts, biases, norms, adapters, low-rank additions, scales and head differ by row, the matrices do not.
//!
//! A fine-tuning that changes the matrices themselves (`full`, `last-blocks`), and back ends or engines without the
//! fused block, run their rows by [`Encoder::forward`] in the same call.

mod frozen;
mod values;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::Preprocess;
use kinsight_kernels::{BlockGroup, PackedBlock, block_forward_mixed};

pub use self::frozen::FrozenTensors;
use self::values::BlockValues;
use crate::backbone::Backbone;
use crate::encoder::Encoder;
use crate::engine::{Compute, fused_runs};
use crate::error::ModelError;
use crate::finetuned::{load_fine_tuned_over, read_info};
use crate::parameters::to_vec;
use crate::vit::config::VitConfig;
use crate::vit::{Pooling, VisionTransformer};

/// A backbone whose frozen tensors any number of [`HostedEncoder`]s share.
#[derive(Debug)]
pub struct SharedBackbone {
    backbone: Arc<Backbone>,
    bare: VisionTransformer,
    /// The tensors of `bare`.
    frozen: FrozenTensors,
    packed: Option<Vec<PackedBlock>>,
    compute: Compute,
    device: Device,
}

/// A fine-tuning, or the bare backbone, over a [`SharedBackbone`].
#[derive(Debug)]
pub struct HostedEncoder {
    encoder: Encoder,
    preprocess: Preprocess,
    /// What differs in each block, where the rows of this encoder can share a batch with others.
    blocks: Option<Vec<BlockValues>>,
    own_bytes: usize,
}

/// The images of one encoder in a mixed batch.
#[derive(Debug)]
pub struct HostedImages<'a> {
    /// Whose embeddings are wanted; it belongs to the backbone that runs the batch.
    pub encoder: &'a HostedEncoder,
    /// `[n, 3, S, S]`, prepared as [`HostedEncoder::preprocess`] says.
    pub images: Vec<f32>,
}

impl SharedBackbone {
    /// Reads and packs the frozen tensors of `backbone`, once.
    ///
    /// # Errors
    /// [`ModelError::Weights`] lists every tensor that does not fit.
    pub fn load(backbone: impl Into<Arc<Backbone>>, compute: Compute, device: &Device) -> Result<Self, ModelError> {
        let backbone = backbone.into();
        let bare = backbone.load(device)?;
        let packed = if fused_runs(compute, device) { values::pack(&bare, compute.precision) } else { None };
        Ok(Self { frozen: FrozenTensors::of(&bare), bare, packed, backbone, compute, device: device.clone() })
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The fine-tuning at `path` over the shared tensors: only what it trained takes memory.
    ///
    /// # Errors
    /// [`ModelError::OtherBackbone`] if it was trained on another one; [`ModelError::Weights`] if tensors do not fit.
    pub fn attach(&self, path: &Path) -> Result<HostedEncoder, ModelError> {
        let info = read_info(path)?;
        let (encoder, own_bytes) = load_fine_tuned_over(path, &self.backbone, &self.frozen, &self.device)?;
        let shares_matrices = !info.tuning.trains_matrices();
        Ok(self.host(encoder, info.preprocess, shares_matrices, own_bytes))
    }

    /// The backbone without any fine-tuning: its pooled token is the embedding.
    ///
    /// # Errors
    /// [`ModelError::Config`] if the backbone cannot pool so.
    pub fn bare(&self, pooling: Option<Pooling>) -> Result<HostedEncoder, ModelError> {
        let pooling = pooling.unwrap_or(self.backbone.pooling);
        self.backbone.config.check_pooling(pooling)?;
        let backbone = self.bare.clone();
        let encoder = Encoder { backbone, prompts: None, head: None, pooling, shallow_prompts: false };
        Ok(self.host(encoder, self.backbone.preprocess, true, 0))
    }

    fn host(
        &self,
        mut encoder: Encoder,
        preprocess: Preprocess,
        shares_matrices: bool,
        own_bytes: usize,
    ) -> HostedEncoder {
        encoder.backbone.compute = self.compute;
        let can_mix = shares_matrices && self.packed.is_some();
        let blocks = if can_mix { BlockValues::of_encoder(&encoder) } else { None };
        HostedEncoder { encoder, preprocess, blocks, own_bytes }
    }

    /// Unit embeddings of several encoders' images in one batch: `[n, E]` values for each group, in order.
    ///
    /// A row's embedding is that of [`Encoder::forward`] up to the rounding of the patch projection, whatever else is in
    /// the batch.
    ///
    /// # Errors
    /// [`ModelError::Input`] if a group's images do not have the backbone's input size.
    pub fn embed(&self, groups: Vec<HostedImages<'_>>) -> Result<Vec<Vec<f32>>, ModelError> {
        let side = self.backbone.config.image_size;
        let image_len = 3 * side * side;
        let misfit =
            |group: &&HostedImages<'_>| group.images.is_empty() || !group.images.len().is_multiple_of(image_len);
        if let Some(group) = groups.iter().find(misfit) {
            return Err(ModelError::Input {
                expected: format!("[n, 3, {side}, {side}], n at least 1"),
                found: format!("{} values", group.images.len()),
            });
        }
        let mut results: Vec<Vec<f32>> = groups.iter().map(|_| Vec::new()).collect();
        let mut mixed = Vec::new();
        for (i, HostedImages { encoder: hosted, images }) in groups.into_iter().enumerate() {
            let encoder = &hosted.encoder;
            let batch = images.len() / image_len;
            let images = Tensor::from_data(TensorData::new(images, [batch, 3, side, side]), &self.device);
            match (&self.packed, &hosted.blocks) {
                (Some(_), Some(blocks)) => {
                    let (tokens, appended) = encoder.append_shallow_prompts(encoder.embed_tokens(images));
                    mixed.push(Row { group: i, encoder, blocks, batch, appended, tokens: to_vec(tokens) });
                }
                _ => results[i] = to_vec(encoder.forward(images)),
            }
        }
        for (i, block) in self.packed.iter().flatten().enumerate() {
            self.run_block(i, block, &mut mixed)?;
        }
        for row in mixed {
            let shape =
                [row.batch, row.tokens.len() / row.batch / self.backbone.config.width, self.backbone.config.width];
            let tokens = Tensor::from_data(TensorData::new(row.tokens, shape), &self.device);
            results[row.group] = to_vec(row.encoder.embedding_of(tokens));
        }
        Ok(results)
    }

    fn run_block(&self, i: usize, block: &PackedBlock, rows: &mut [Row<'_>]) -> Result<(), ModelError> {
        let config = &self.backbone.config;
        let mut next: Vec<Vec<f32>> = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            next.push(vec![0.0; row.batch * row.outputs(i, config) * config.width]);
        }
        let calls = rows.iter().zip(&mut next).map(|(row, out)| {
            let tokens = config.tokens() + row.appended;
            row.blocks[i].group(config, [row.batch, tokens, row.outputs(i, config)], &row.tokens, out)
        });
        block_forward_mixed(block, &mut calls.collect::<Vec<BlockGroup<'_>>>())
            .map_err(|error| ModelError::Config { message: format!("block {i}: {error}") })?;
        rows.iter_mut().zip(next).for_each(|(row, next)| row.tokens = next);
        Ok(())
    }
}

/// One group on its way through the blocks.
struct Row<'a> {
    group: usize,
    encoder: &'a Encoder,
    blocks: &'a [BlockValues],
    batch: usize,
    /// Shallow prompts among the tokens.
    appended: usize,
    tokens: Vec<f32>,
}

impl Row<'_> {
    fn outputs(&self, block: usize, config: &VitConfig) -> usize {
        let Encoder { backbone, pooling, .. } = self.encoder;
        backbone.outputs(block, config.tokens() + self.appended, self.appended, *pooling)
    }
}

impl HostedEncoder {
    /// The encoder itself, for what a batch does not give: explanations.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// How images are prepared for it.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Size of an embedding.
    pub fn embedding_size(&self) -> usize {
        self.encoder.embedding_size()
    }

    /// Whether its images share a batch with those of other fine-tunings.
    pub fn shares_batches(&self) -> bool {
        self.blocks.is_some()
    }

    /// Memory that exists for this fine-tuning alone, in bytes: its trained tensors, and the copies of biases, norms and
    /// prompts that the kernel reads.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes + self.blocks.iter().flatten().map(BlockValues::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
