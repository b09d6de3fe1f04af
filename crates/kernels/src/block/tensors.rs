//! The table of a block's tensors: what each is called in the module tree and in files, and its shape.
//!
//! A tensor is declared once, here. Parameters, the gradients that are wanted and the gradients themselves are
//! [`PerTensor`]s, so whatever goes through a block's tensors goes through this table: the checks of a call, the sums over
//! images, and in the model the fused operation and the fine-tunings that a server hosts.

use std::ops::{Index, IndexMut};

use super::params::BlockDims;

/// Declares the table, a line for each tensor: its role, its name below the block's, its shape.
macro_rules! table {
    ($($tensor:ident $name:literal [$($size:ident)+];)+) => {
        /// A tensor of a block, in PyTorch's layout: a weight is `[out, in]`, row-major.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum BlockTensor {
            $(#[doc = concat!("`", $name, "`, `", stringify!([$($size)+]), "`")] $tensor,)+
        }

        impl BlockTensor {
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// All, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$tensor),+];

            /// The name below the block's own, as in the module tree and in files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$tensor => $name),+ }
            }

            /// The shape in a block of these sizes; `bottleneck` counts the rows of an adapter's `down_proj`. Prompts that each
            /// image has for itself have the batch as one more dimension.
            pub fn shape(self, dims: &BlockDims, bottleneck: usize) -> Vec<usize> {
                let BlockDims { width, hidden, prompts, .. } = *dims;
                let sizes = Sizes { width, qkv: width.saturating_mul(3), hidden, bottleneck, prompts };
                match self { $(Self::$tensor => vec![$(sizes.$size),+]),+ }
            }

            /// Whether it has two dimensions.
            pub(crate) fn is_matrix(self) -> bool {
                match self { $(Self::$tensor => [$(stringify!($size)),+].len() == 2),+ }
            }
        }
    };
}

/// What the table's shapes are made of.
struct Sizes {
    width: usize,
    qkv: usize,
    hidden: usize,
    bottleneck: usize,
    prompts: usize,
}

table! {
    Norm1Weight       "norm1.weight"              [width];
    Norm1Bias         "norm1.bias"                [width];
    QkvWeight         "attn.qkv.weight"           [qkv width];
    QkvBias           "attn.qkv.bias"             [qkv];
    ProjWeight        "attn.proj.weight"          [width width];
    ProjBias          "attn.proj.bias"            [width];
    Scale1            "ls1.gamma"                 [width];
    Norm2Weight       "norm2.weight"              [width];
    Norm2Bias         "norm2.bias"                [width];
    Fc1Weight         "mlp.fc1.weight"            [hidden width];
    Fc1Bias           "mlp.fc1.bias"              [hidden];
    Fc2Weight         "mlp.fc2.weight"            [width hidden];
    Fc2Bias           "mlp.fc2.bias"              [width];
    Scale2            "ls2.gamma"                 [width];
    DownWeight        "adapter.down_proj.weight"  [bottleneck width];
    DownBias          "adapter.down_proj.bias"    [bottleneck];
    UpWeight          "adapter.up_proj.weight"    [width bottleneck];
    UpBias            "adapter.up_proj.bias"      [width];
    AdapterNormWeight "adapter.adapter_ln.weight" [width];
    AdapterNormBias   "adapter.adapter_ln.bias"   [width];
    Prompts           "prompts"                   [prompts width];
}

impl BlockTensor {
    /// The weights of the four large layers, which fine-tunings of one backbone may share.
    pub const MATRICES: [Self; 4] = [Self::QkvWeight, Self::ProjWeight, Self::Fc1Weight, Self::Fc2Weight];

    /// Numbers in the tensor.
    pub(crate) fn len(self, dims: &BlockDims, bottleneck: usize) -> usize {
        self.shape(dims, bottleneck).into_iter().fold(1, usize::saturating_mul)
    }
}

/// Something for each tensor of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerTensor<T>([T; BlockTensor::COUNT]);

impl<T> PerTensor<T> {
    /// What `f` says of each, asked in the order of the table.
    pub fn from_fn(mut f: impl FnMut(BlockTensor) -> T) -> Self {
        Self(std::array::from_fn(|i| f(BlockTensor::ALL[i])))
    }

    /// Each tensor with what there is for it, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (BlockTensor, &T)> {
        BlockTensor::ALL.iter().copied().zip(&self.0)
    }

    /// What there is for each, in the order of the table.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_iter()
    }

    /// The same with `f` applied to each.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> PerTensor<U> {
        PerTensor(self.0.map(f))
    }

    /// Those of two different tensors, to change.
    pub(crate) fn pair_mut(&mut self, [a, b]: [BlockTensor; 2]) -> Option<[&mut T; 2]> {
        self.0.get_disjoint_mut([a as usize, b as usize]).ok()
    }
}

impl<T> Index<BlockTensor> for PerTensor<T> {
    type Output = T;

    fn index(&self, tensor: BlockTensor) -> &T {
        &self.0[tensor as usize]
    }
}

impl<T> IndexMut<BlockTensor> for PerTensor<T> {
    fn index_mut(&mut self, tensor: BlockTensor) -> &mut T {
        &mut self.0[tensor as usize]
    }
}
