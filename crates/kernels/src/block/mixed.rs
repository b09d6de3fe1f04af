//! One block for images of several fine-tunings at once: the frozen matrices are shared, everything small differs.
//!
//! A fine-tuning by prompts, biases, norms and adapters leaves the block's four large matrices as they are, and low-rank
//! additions or scaled rows are computed alongside them. So the matrices are packed once and used by every call and every
//! fine-tuning. The images of a batch come in groups, one for each fine-tuning, and all groups are computed in one
//! parallel pass: a group of one image costs what its image costs. A server that hosts many fine-tunings of one backbone
//! runs on this; training does not, since packing once a step is nothing there.

use std::sync::Arc;

use rayon::prelude::*;

use super::forward::Forward;
use super::params::{BlockDims, BlockParams};
use super::side::{LayerSide, Sides};
use super::weight_cache::Cached;
use super::weights::{ForwardWeights, Matrices, Uses};
use crate::cpu::Cpu;
use crate::element::Bf16;
use crate::error::{KernelError, check_length};
use crate::precision::Precision;

/// A block's large matrices (qkv, proj, fc1, fc2), packed once for any number of calls. Cloning shares them.
#[derive(Clone)]
pub struct PackedBlock {
    matrices: PackedMatrices,
    width: usize,
    hidden: usize,
}

#[derive(Clone)]
enum PackedMatrices {
    F32(Arc<Matrices<f32>>),
    Bf16(Arc<Matrices<Bf16>>),
}

/// The images of one fine-tuning in a mixed batch.
#[derive(Debug)]
pub struct BlockGroup<'a> {
    /// Sizes; `batch` counts this group's images, and groups may differ in prompts and outputs.
    pub dims: BlockDims,
    /// The fine-tuning's small tensors; matrices and cache are ignored.
    pub params: BlockParams<'a>,
    /// What it adds to qkv, proj, fc1 and fc2.
    pub sides: [LayerSide<'a>; 4],
    /// `[batch, tokens, width]`.
    pub x: &'a [f32],
    /// `[batch, outputs, width]`.
    pub out: &'a mut [f32],
}

/// Input and output sizes of qkv, proj, fc1 and fc2.
fn layer_sizes(width: usize, hidden: usize) -> [[usize; 2]; 4] {
    [[width, width.saturating_mul(3)], [width, width], [width, hidden], [hidden, width]]
}

impl PackedBlock {
    /// Packs the weights of qkv, proj, fc1 and fc2.
    ///
    /// # Errors
    /// [`KernelError`] if a weight does not fit `width` and `hidden`.
    pub fn new(width: usize, hidden: usize, weights: [&[f32]; 4], precision: Precision) -> Result<Self, KernelError> {
        let names = super::tensors::BlockTensor::MATRICES.map(|matrix| matrix.name());
        for ((name, weight), [input, output]) in names.into_iter().zip(weights).zip(layer_sizes(width, hidden)) {
            check_length(name, input.saturating_mul(output), weight.len())?;
        }
        let (cpu, sizes) = (Cpu::detect(), [width, hidden]);
        let matrices = match precision {
            Precision::F32 => PackedMatrices::F32(Arc::new(Matrices::new(cpu, sizes, weights, Uses::ALL, None))),
            Precision::Bf16 => PackedMatrices::Bf16(Arc::new(Matrices::new(cpu, sizes, weights, Uses::ALL, None))),
        };
        Ok(Self { matrices, width, hidden })
    }
}

impl std::fmt::Debug for PackedBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedBlock").field("width", &self.width).field("hidden", &self.hidden).finish()
    }
}

/// The outputs of a block for several groups of images, each with its own small parameters.
///
/// A row's result is that of [`block_forward`](super::block_forward) with the same parameters, bit for bit, or up to
/// rounding where a [`LayerSide`] adds something; it depends on no other row, and on no other group.
///
/// # Errors
/// [`KernelError`] if a slice of a group does not fit its dimensions or the packed matrices; nothing is computed then.
pub fn block_forward_mixed(packed: &PackedBlock, groups: &mut [BlockGroup<'_>]) -> Result<(), KernelError> {
    for group in groups.iter() {
        group.check(packed)?;
    }
    match &packed.matrices {
        PackedMatrices::F32(matrices) => run(matrices, groups),
        PackedMatrices::Bf16(matrices) => run(matrices, groups),
    }
    Ok(())
}

/// Groups are tasks that split further by image: threads with nothing left of one group help with the next.
fn run<E: Cached>(matrices: &Matrices<E>, groups: &mut [BlockGroup<'_>]) {
    let cpu = Cpu::detect();
    let total: usize = groups.iter().map(|group| group.dims.batch).sum();
    groups.par_iter_mut().for_each(|BlockGroup { dims, params, sides, x, out }| {
        let sides = Sides::new(cpu, dims.width, dims.hidden, *sides);
        let weights = ForwardWeights::new(cpu, dims, params, matrices.clone(), sides);
        Forward::with_weights(cpu, dims, params, weights, true).infer(total, x, out);
    });
}

impl BlockGroup<'_> {
    fn check(&self, packed: &PackedBlock) -> Result<(), KernelError> {
        let dims = &self.dims;
        check_length("width of a group", packed.width, dims.width)?;
        check_length("hidden size of a group", packed.hidden, dims.hidden)?;
        self.params.check_small(dims, self.x)?;
        let names = ["qkv row scale", "proj row scale", "fc1 row scale", "fc2 row scale"];
        for ((side, name), sizes) in self.sides.iter().zip(names).zip(layer_sizes(dims.width, dims.hidden)) {
            side.check(name, sizes)?;
        }
        check_length("block output", dims.output_len(), self.out.len())
    }
}
