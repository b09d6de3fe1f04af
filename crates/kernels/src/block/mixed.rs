//! One block for images of several fine-tunings at once: the frozen matrices are shared, everything small differs.
//!
//! A fine-tuning by prompts, biases, norms and adapters leaves the block's four large matrices as they are, and low-rank
//! additions or scaled rows can be computed beside them. Here these matrices are packed once, kept, and used by every call and every fine-tuning; the rows of a batch come in groups, one a
//! fine-tuning, and all groups are computed in one parallel pass, so that a group of one image costs what its image
//! costs. A server that hosts many fine-tunings of one backbone runs on this; training does not, since packing once a
//! step is nothing there.

use std::sync::Arc;

use rayon::prelude::*;

use super::forward::Forward;
use super::params::{AdapterParams, BlockDims, BlockParams, Prompts};
use super::side::LayerVariant;
use super::weight_cache::Cached;
use super::weights::Matrices;
use crate::cpu::Cpu;
use crate::element::Bf16;
use crate::error::{KernelError, check_length};
use crate::linear::LinearParams;
use crate::norm::LayerNormParams;
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

/// What differs between fine-tunings of one block, in PyTorch's layout: all of it is small.
#[derive(Clone, Copy, Debug)]
pub struct BlockVariant<'a> {
    /// LayerNorm before attention.
    pub norm1: LayerNormParams<'a>,
    /// D to 3D.
    pub qkv: LayerVariant<'a>,
    /// D to D.
    pub proj: LayerVariant<'a>,
    /// Scale of the attention branch, `[D]`.
    pub layer_scale1: Option<&'a [f32]>,
    /// LayerNorm before the MLP.
    pub norm2: LayerNormParams<'a>,
    /// D to hidden.
    pub fc1: LayerVariant<'a>,
    /// Hidden to D.
    pub fc2: LayerVariant<'a>,
    /// Scale of the MLP branch, `[D]`.
    pub layer_scale2: Option<&'a [f32]>,
    /// A bottleneck beside or after the MLP.
    pub adapter: Option<AdapterParams<'a>>,
    /// Rows put before the tokens of every image of the group.
    pub prompts: Option<Prompts<'a>>,
}

/// The images of one fine-tuning in a mixed batch.
#[derive(Debug)]
pub struct BlockGroup<'a> {
    /// Sizes; `batch` counts this group's images, and groups may differ in prompts and outputs.
    pub dims: BlockDims,
    /// The fine-tuning.
    pub variant: BlockVariant<'a>,
    /// `[batch, tokens, width]`.
    pub x: &'a [f32],
    /// `[batch, outputs, width]`.
    pub out: &'a mut [f32],
}

impl PackedBlock {
    /// Packs the matrices of `params`; low-rank additions become part of them, all else is ignored.
    ///
    /// # Errors
    /// [`KernelError`] if a weight does not fit `width` and `hidden`.
    pub fn new(
        width: usize,
        hidden: usize,
        params: [LinearParams<'_>; 4],
        precision: Precision,
    ) -> Result<Self, KernelError> {
        let [qkv, proj, fc1, fc2] = params;
        qkv.check(["qkv.weight", "qkv.bias"], width, width.saturating_mul(3))?;
        proj.check(["proj.weight", "proj.bias"], width, width)?;
        fc1.check(["fc1.weight", "fc1.bias"], width, hidden)?;
        fc2.check(["fc2.weight", "fc2.bias"], hidden, width)?;
        let cpu = Cpu::detect();
        let matrices = match precision {
            Precision::F32 => PackedMatrices::F32(Arc::new(Matrices::packed(cpu, width, hidden, &params))),
            Precision::Bf16 => PackedMatrices::Bf16(Arc::new(Matrices::packed(cpu, width, hidden, &params))),
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
/// A row's result is that of [`block_forward`](super::block_forward) with the same parameters, bit for bit, or up to rounding
/// where something lies beside a matrix; it depends on no other row, and on no other group.
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
    groups.par_iter_mut().for_each(|group| {
        let params = group.variant.params();
        Forward::sharing(cpu, &group.dims, &params, group.variant.layers(), matrices).infer(total, group.x, group.out);
    });
}

impl<'a> BlockVariant<'a> {
    fn layers(&self) -> [LayerVariant<'a>; 4] {
        [self.qkv, self.proj, self.fc1, self.fc2]
    }

    /// The same as parameters whose matrices nobody reads.
    fn params(&self) -> BlockParams<'a> {
        let linear = |bias| LinearParams::new(&[], bias);
        BlockParams {
            norm1: self.norm1,
            qkv: linear(self.qkv.bias),
            proj: linear(self.proj.bias),
            layer_scale1: self.layer_scale1,
            norm2: self.norm2,
            fc1: linear(self.fc1.bias),
            fc2: linear(self.fc2.bias),
            layer_scale2: self.layer_scale2,
            adapter: self.adapter,
            prompts: self.prompts,
            cache: None,
        }
    }
}

impl BlockGroup<'_> {
    fn check(&self, packed: &PackedBlock) -> Result<(), KernelError> {
        let dims = &self.dims;
        check_length("width of a group", packed.width, dims.width)?;
        check_length("hidden size of a group", packed.hidden, dims.hidden)?;
        let params = self.variant.params();
        params.check_small(dims, self.x)?;
        let (width, hidden) = (dims.width, dims.hidden);
        let [qkv, proj, fc1, fc2] = self.variant.layers();
        qkv.check(["qkv.bias", "qkv row scale"], width, width.saturating_mul(3))?;
        proj.check(["proj.bias", "proj row scale"], width, width)?;
        fc1.check(["fc1.bias", "fc1 row scale"], width, hidden)?;
        fc2.check(["fc2.bias", "fc2 row scale"], hidden, width)?;
        check_length("block output", dims.output_len(), self.out.len())
    }
}
