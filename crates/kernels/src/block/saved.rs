//! What a forward keeps for its backward.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::grads::Wanted;
use super::params::{AdapterPlacement, BlockDims, BlockParams, Prompts};
use crate::buffer::Buffer;
use crate::element::{Bf16, Element};
use crate::error::{KernelError, check_length};

/// What a forward keeps for its backward ("gradient checkpointing"). The result is the same in all, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpoint {
    /// `None` or `Mlp` by the size of the batch: `Mlp` where a block's hidden layer holds over [`Checkpoint::LARGE`]
    /// numbers.
    #[default]
    Auto,
    /// All activations that the backward needs: at most `9 D + heads` numbers a token with `hidden = 4 D` (`10 D` with a
    /// sequential adapter).
    None,
    /// All but the MLP's hidden layer, which the backward computes again: about 0.6 of the memory for a sixth more
    /// products.
    Mlp,
    /// Nothing but the block's input; the backward computes the block again.
    Block,
}

impl Checkpoint {
    /// Numbers (images times tokens times hidden size) from which recomputing a hidden layer is worth its sixth of the
    /// products: 32 MiB a block in f32. ViT-S/16 passes it with 28 images, ViT-B/16 with 14.
    pub const LARGE: usize = 8 << 20;

    /// `Auto` decided for a block whose hidden layer holds `hidden` numbers.
    pub fn for_hidden(self, hidden: usize) -> Self {
        match self {
            Self::Auto if hidden > Self::LARGE => Self::Mlp,
            Self::Auto => Self::None,
            decided => decided,
        }
    }
}

/// The activations kept by [`block_forward_saving`](super::block_forward_saving), to be given to one backward of the
/// same block with the same parameters and input. The input itself is not in it.
#[derive(Clone, Debug)]
pub struct Saved(pub(crate) State);

#[derive(Clone, Debug)]
pub(crate) enum State {
    Nothing,
    F32(Activations<f32>),
    Bf16(Activations<Bf16>),
}

impl Saved {
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            State::Nothing => 0,
            State::F32(activations) => activations.bytes(),
            State::Bf16(activations) => activations.bytes(),
        }
    }
}

/// The activations of a batch, image after image.
#[derive(Clone, Debug)]
pub(crate) struct Activations<E> {
    /// Queries, keys, values: `[B, tokens, 3D]`.
    pub qkv: Buffer<E>,
    /// Keys and values of shared prompts, `[P, 2D]`; empty without.
    pub shared_kv: Vec<E>,
    /// Keys and values of each image's own prompts, `[B, P, 2D]`; empty without.
    pub prompt_kv: Buffer<E>,
    /// Logarithms of the softmax' sums: `[B, outputs, heads]`.
    pub log_sums: Buffer<f32>,
    /// Attention's output before `proj`: `[B, outputs, D]`, or empty where no wanted gradient needs it.
    pub attention: Buffer<E>,
    /// The residual stream between the branches: `[B, outputs, D]`.
    pub middle: Buffer<f32>,
    /// The MLP's hidden layer before GELU: `[B, outputs, hidden]`, or empty where it is computed again.
    pub hidden: Buffer<E>,
    /// The MLP branch's output: `[B, outputs, D]`, or empty without a sequential adapter.
    pub mlp: Buffer<f32>,
}

/// One image's share of [`Activations`].
pub(crate) struct ImageActivations<'a, E> {
    pub qkv: &'a mut [E],
    /// Empty where prompts are shared.
    pub prompt_kv: &'a mut [E],
    pub rows: RowActivations<'a, E>,
}

/// The share of some rows of an image's output.
pub(crate) struct RowActivations<'a, E> {
    pub log_sums: &'a mut [f32],
    /// Empty where it is not kept.
    pub attention: &'a mut [E],
    pub middle: &'a mut [f32],
    /// Empty where it is not kept.
    pub hidden: &'a mut [E],
    /// Empty without a sequential adapter.
    pub mlp: &'a mut [f32],
}

impl<'a, E> RowActivations<'a, E> {
    /// Takes the first `rows` rows away.
    pub(crate) fn split_off(&mut self, rows: usize, dims: &BlockDims) -> RowActivations<'a, E> {
        RowActivations {
            log_sums: split_off(&mut self.log_sums, rows * dims.heads),
            attention: split_off(&mut self.attention, rows * dims.width),
            middle: split_off(&mut self.middle, rows * dims.width),
            hidden: split_off(&mut self.hidden, rows * dims.hidden),
            mlp: split_off(&mut self.mlp, rows * dims.width),
        }
    }
}

/// The same, to read.
#[derive(Clone, Copy)]
pub(crate) struct ImageView<'a, E> {
    pub qkv: &'a [E],
    pub prompt_kv: &'a [E],
    pub log_sums: &'a [f32],
    pub attention: &'a [E],
    pub middle: &'a [f32],
    pub hidden: &'a [E],
    pub mlp: &'a [f32],
}

impl<E: Element> Activations<E> {
    /// Room for `batch` images. `keep_hidden` is false where no backward follows.
    pub(crate) fn new(
        dims: &BlockDims,
        params: &BlockParams<'_>,
        batch: usize,
        keep_hidden: bool,
        wanted: &Wanted,
    ) -> Self {
        let outputs = batch * dims.image_output_len();
        let per_image_prompts = match params.prompts() {
            Some(Prompts::PerImage(_)) => batch,
            _ => 0,
        };
        Self {
            qkv: Buffer::of(batch * dims.image_len() * 3),
            shared_kv: Vec::new(),
            prompt_kv: Buffer::of(per_image_prompts * dims.prompts * 2 * dims.width),
            log_sums: Buffer::of(batch * dims.heads * dims.outputs),
            attention: Buffer::of(if wanted.attention_output() { outputs } else { 0 }),
            middle: Buffer::of(outputs),
            hidden: Buffer::of(if keep_hidden { batch * dims.outputs * dims.hidden } else { 0 }),
            mlp: Buffer::of(if is_sequential(params) { outputs } else { 0 }),
        }
    }

    /// Splits all tensors into images.
    pub(crate) fn images(&mut self, batch: usize) -> Vec<ImageActivations<'_, E>> {
        let mut qkv = split(&mut self.qkv, batch);
        let mut prompt_kv = split(&mut self.prompt_kv, batch);
        let mut log_sums = split(&mut self.log_sums, batch);
        let mut attention = split(&mut self.attention, batch);
        let mut middle = split(&mut self.middle, batch);
        let mut hidden = split(&mut self.hidden, batch);
        let mut mlp = split(&mut self.mlp, batch);
        (0..batch)
            .map(|_| ImageActivations {
                qkv: qkv.next().unwrap_or_default(),
                prompt_kv: prompt_kv.next().unwrap_or_default(),
                rows: RowActivations {
                    log_sums: log_sums.next().unwrap_or_default(),
                    attention: attention.next().unwrap_or_default(),
                    middle: middle.next().unwrap_or_default(),
                    hidden: hidden.next().unwrap_or_default(),
                    mlp: mlp.next().unwrap_or_default(),
                },
            })
            .collect()
    }

    /// Image `i` of `batch`, to read.
    pub(crate) fn view(&self, batch: usize, i: usize) -> ImageView<'_, E> {
        ImageView {
            qkv: part(&self.qkv, batch, i),
            prompt_kv: part(&self.prompt_kv, batch, i),
            log_sums: part(&self.log_sums, batch, i),
            attention: part(&self.attention, batch, i),
            middle: part(&self.middle, batch, i),
            hidden: part(&self.hidden, batch, i),
            mlp: part(&self.mlp, batch, i),
        }
    }

    /// Fails unless these are the activations that a backward of these sizes needs.
    pub(crate) fn check(&self, dims: &BlockDims, params: &BlockParams<'_>, wanted: &Wanted) -> Result<(), KernelError> {
        let outputs = dims.output_len();
        check_length("saved qkv", dims.input_len() * 3, self.qkv.len())?;
        if !self.hidden.is_empty() {
            check_length("saved hidden layer", dims.batch * dims.outputs * dims.hidden, self.hidden.len())?;
        }
        check_length("saved softmax sums", dims.batch * dims.heads * dims.outputs, self.log_sums.len())?;
        check_length("saved middle", outputs, self.middle.len())?;
        if wanted.attention_output() {
            check_length("saved attention output", outputs, self.attention.len())?;
        }
        let expected = match params.prompts() {
            Some(Prompts::PerImage(_)) => dims.batch * dims.prompts * 2 * dims.width,
            _ => 0,
        };
        check_length("saved prompts", expected, self.prompt_kv.len())?;
        let expected = match params.prompts() {
            Some(Prompts::Shared(_)) => dims.prompts * 2 * dims.width,
            _ => 0,
        };
        check_length("saved shared prompts", expected, self.shared_kv.len())?;
        let expected = if is_sequential(params) { outputs } else { 0 };
        check_length("saved mlp branch", expected, self.mlp.len())
    }

    fn bytes(&self) -> usize {
        let elements = [&self.qkv, &self.prompt_kv, &self.attention, &self.hidden];
        let elements = elements.iter().map(|tensor| tensor.len()).sum::<usize>() + self.shared_kv.len();
        let floats = self.log_sums.len() + self.middle.len() + self.mlp.len();
        elements * size_of::<E>() + floats * size_of::<f32>()
    }
}

fn is_sequential(params: &BlockParams<'_>) -> bool {
    params.adapter.is_some_and(|(placement, _)| placement == AdapterPlacement::Sequential)
}

/// Equal parts of a slice whose length is a multiple of `parts`; of an empty slice, none.
pub(crate) fn split<T>(slice: &mut [T], parts: usize) -> impl Iterator<Item = &mut [T]> {
    let len = (slice.len() / parts).max(1);
    slice.chunks_mut(len)
}

/// Takes the first `len` elements away; nothing of an empty slice.
pub(crate) fn split_off<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(slice.len());
    slice.split_off_mut(..len).unwrap_or_default()
}

/// `0..len` in at most `parts` ranges of almost equal length.
pub(crate) fn ranges(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let size = len.div_ceil(parts).max(1);
    (0..len).step_by(size).map(move |first| first..len.min(first + size))
}

/// The i-th of `parts` equal parts.
pub(crate) fn part<T>(slice: &[T], parts: usize, i: usize) -> &[T] {
    let len = slice.len() / parts;
    &slice[i * len..(i + 1) * len]
}
