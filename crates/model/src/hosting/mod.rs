//! Many fine-tunings over one frozen backbone in one process.
//!
//! A server that answers for many collections, each with a fine-tuning of its own, must not hold the backbone once for
//! each, nor run a batch for each. Here the frozen tensors exist once and are shared by reference, the matrices of the
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
use crate::tuning::Tuning;
use crate::vit::Pooling;

/// A backbone whose frozen tensors any number of [`HostedEncoder`]s share.
#[derive(Debug)]
pub struct SharedBackbone {
    backbone: Arc<Backbone>,
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
        let packed = if fused_runs(compute, device) { values::pack(&bare, compute) } else { None };
        Ok(Self { frozen: FrozenTensors::of(&bare), packed, backbone, compute, device: device.clone() })
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The fine-tuning at `path` over the shared tensors: only what it trained takes memory of its own.
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
        let tuning = Tuning { pooling: Some(pooling), ..Tuning::default() };
        let mut source = frozen::FrozenSource::new(&self.frozen, &self.device);
        let encoder = Encoder::from_source(&mut source, &self.backbone.config, &tuning);
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
    pub fn embed(&self, groups: &[HostedImages<'_>]) -> Result<Vec<Vec<f32>>, ModelError> {
        let side = self.backbone.config.image_size;
        let image_len = 3 * side * side;
        for group in groups {
            if group.images.is_empty() || !group.images.len().is_multiple_of(image_len) {
                return Err(ModelError::Input {
                    expected: format!("[n, 3, {side}, {side}], n at least 1"),
                    found: format!("{} values", group.images.len()),
                });
            }
        }
        let tensor = |group: &HostedImages<'_>| {
            let count = group.images.len() / image_len;
            let data = TensorData::new(group.images.clone(), [count, 3, side, side]);
            Tensor::<4>::from_data(data, &self.device)
        };
        let mut results: Vec<Vec<f32>> = groups.iter().map(|_| Vec::new()).collect();
        let mut mixed = Vec::new();
        for (i, group) in groups.iter().enumerate() {
            match (&self.packed, &group.encoder.blocks) {
                (Some(_), Some(blocks)) => {
                    let encoder = &group.encoder.encoder;
                    let (tokens, appended) = encoder.append_shallow_prompts(encoder.embed_tokens(tensor(group)));
                    let [batch, ..] = tokens.dims();
                    mixed.push(Row { group: i, blocks, batch, appended, tokens: values::to_vec(tokens) });
                }
                _ => results[i] = values::to_vec(group.encoder.encoder.forward(tensor(group))),
            }
        }
        if let Some(packed) = &self.packed {
            self.run_blocks(packed, groups, &mut mixed)?;
        }
        for row in mixed {
            let encoder = &groups[row.group].encoder.encoder;
            let config = &self.backbone.config;
            let (outputs, width) = (self.outputs(encoder, 0, config.depth - 1), config.width);
            let data = TensorData::new(row.tokens, [row.batch, outputs, width]);
            let tokens = Tensor::<3>::from_data(data, &self.device);
            results[row.group] = values::to_vec(encoder.embedding_of(tokens));
        }
        Ok(results)
    }

    /// Tokens that `encoder` needs of block `block`'s output: all, but of the last block no shallow prompts, and perhaps
    /// the class token alone.
    fn outputs(&self, encoder: &Encoder, appended: usize, block: usize) -> usize {
        let tokens = self.backbone.config.tokens();
        match (block + 1 == self.backbone.config.depth, encoder.pooling) {
            (true, Pooling::Class) => 1,
            (true, _) => tokens,
            (false, _) => tokens + appended,
        }
    }

    fn run_blocks(
        &self,
        packed: &[PackedBlock],
        groups: &[HostedImages<'_>],
        rows: &mut [Row<'_>],
    ) -> Result<(), ModelError> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = self.backbone.config.width;
        for (i, block) in packed.iter().enumerate() {
            let outputs: Vec<usize> =
                rows.iter().map(|row| self.outputs(&groups[row.group].encoder.encoder, row.appended, i)).collect();
            let mut next: Vec<Vec<f32>> =
                rows.iter().zip(&outputs).map(|(row, outputs)| vec![0.0; row.batch * outputs * width]).collect();
            let mut calls: Vec<BlockGroup<'_>> = rows
                .iter()
                .zip(&mut next)
                .zip(&outputs)
                .map(|((row, out), outputs)| {
                    let tokens = self.backbone.config.tokens() + row.appended;
                    row.blocks[i].group(&self.backbone.config, [row.batch, tokens, *outputs], &row.tokens, out)
                })
                .collect();
            block_forward_mixed(block, &mut calls)
                .map_err(|error| ModelError::Config { message: format!("block {i}: {error}") })?;
            for (row, next) in rows.iter_mut().zip(next) {
                row.tokens = next;
            }
        }
        Ok(())
    }
}

/// One group on its way through the blocks.
struct Row<'a> {
    group: usize,
    blocks: &'a [BlockValues],
    batch: usize,
    /// Shallow prompts among the tokens.
    appended: usize,
    tokens: Vec<f32>,
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
