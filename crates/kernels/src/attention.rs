//! Softmax attention of one image, head by head; scores exist for a few rows of one head at a time.
//!
//! ```text
//! o = softmax(q k^T / sqrt(head_dim)) v
//! ```
//! Only the logarithm of each row's sum of exponentials is kept for the backward, which computes the scores again
//! (Dao et al. 2022, "FlashAttention", without its tiling over keys: one row block's scores fit the cache for the
//! sequence lengths of vision transformers). Prompts are keys and values only: their outputs are dropped, so no query
//! is computed for them.

mod backward;
mod forward;

pub(crate) use backward::{BackwardScratch, attention_backward};
pub(crate) use forward::{ForwardScratch, attention_forward};

use std::ops::Range;

use crate::block::BlockDims;
use crate::element::Element;

/// Queries, keys and values of one image.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a, E> {
    /// Tokens, not counting prompts.
    pub tokens: usize,
    pub prompts: usize,
    /// Leading tokens whose queries are used.
    pub outputs: usize,
    pub width: usize,
    pub heads: usize,
    /// `[tokens, 3 width]`: queries, keys, values.
    pub qkv: &'a [E],
    /// `[prompts, 2 width]`: keys, values.
    pub prompt_kv: &'a [E],
}

impl<'a, E: Element> Heads<'a, E> {
    pub(crate) fn new(dims: &BlockDims, qkv: &'a [E], prompt_kv: &'a [E]) -> Self {
        let BlockDims { tokens, prompts, outputs, width, heads, .. } = *dims;
        Self { tokens, prompts, outputs, width, heads, qkv, prompt_kv }
    }

    fn head_dim(&self) -> usize {
        self.width / self.heads
    }

    /// Prompts and tokens together.
    fn keys(&self) -> usize {
        self.prompts + self.tokens
    }

    /// Length of a row of scores in memory: even, as pairs of bf16 need.
    fn score_stride(&self) -> usize {
        self.keys().next_multiple_of(2)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim() as f32).sqrt()
    }

    /// First query of a head; rows lie `3 width` apart.
    fn queries(&self, head: usize) -> &'a [E] {
        &self.qkv[head * self.head_dim()..]
    }

    /// Keys of a head: of the prompts (rows `2 width` apart) and of the tokens (rows `3 width` apart).
    fn keys_of(&self, head: usize) -> (&'a [E], &'a [E]) {
        let at = head * self.head_dim();
        let prompts = self.prompt_kv.get(at..).unwrap_or_default();
        (prompts, &self.qkv[self.width + at..])
    }

    /// Values of a head, as [`Self::keys_of`].
    fn values_of(&self, head: usize) -> (&'a [E], &'a [E]) {
        let at = self.width + head * self.head_dim();
        let prompts = self.prompt_kv.get(at..).unwrap_or_default();
        (prompts, &self.qkv[self.width + at..])
    }
}

/// Splits rows into equal blocks of at most `most`.
fn row_blocks(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = rows.len().div_ceil(most).max(1);
    let size = rows.len().div_ceil(blocks).max(1);
    let end = rows.end;
    rows.step_by(size).map(move |first| first..end.min(first + size))
}
