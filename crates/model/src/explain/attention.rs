//! What the pooled token reads in one block.

use burn::tensor::Tensor;

use crate::parameters::to_vec;

/// Attention of the pooled token in one block, heads averaged and apart; all of a head's shares sum to one.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMap {
    /// Patches along one side of the image.
    pub grid: usize,
    /// Share of each patch, mean over heads, `[grid, grid]` row-major from the top left.
    pub patches: Vec<f32>,
    /// Share of each patch in each head, `[H, grid, grid]`.
    pub heads: Vec<Vec<f32>>,
    /// Share of each special token (class token first), mean over heads.
    pub special: Vec<f32>,
    /// Share of each prompt of this block, mean over heads; empty without prompts.
    pub prompts: Vec<f32>,
}

impl AttentionMap {
    /// Cuts one row of attention weights into prompts, special tokens and patches.
    ///
    /// # Shapes
    /// `weights` `[H, P + special + grid * grid]`
    pub(super) fn new(weights: Tensor<2>, prompts: usize, special: usize, grid: usize) -> Self {
        let row = to_vec::<2>;
        let heads = weights.dims()[0];
        let mean = row(weights.clone().mean_dim(0));
        let first_patch = prompts + special;
        Self {
            grid,
            patches: mean[first_patch..].to_vec(),
            heads: (0..heads).map(|head| row(weights.clone().narrow(0, head, 1))[first_patch..].to_vec()).collect(),
            special: mean[prompts..first_patch].to_vec(),
            prompts: mean[..prompts].to_vec(),
        }
    }

    /// The patches' shares over the largest of them, in `[0, 1]`: what a heat map shows.
    pub fn relative(&self) -> Vec<f32> {
        let largest = self.patches.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        self.patches.iter().map(|share| share / largest).collect()
    }
}
