//! The pre-norm transformer block: its parameters, forward and backward.
//!
//! ```text
//! n1 = norm1(x);  q, k, v = qkv(n1);  x2 = x + ls1 * proj(softmax(q k^T / sqrt(head_dim)) v)
//! out = x2 + ls2 * fc2(gelu(fc1(norm2(x2))))                                      (+ an adapter, see `Adapter`)
//! ```
//! Prompts are rows put before the tokens whose outputs are dropped, so they are keys and values alone: no query, no
//! projection and no MLP is computed for them, and shared ones are computed once for all images. Likewise only the
//! first `outputs` tokens pass through projection and MLP, which makes the last block of a class-token model cheap.
//!
//! One task is one image; its activations stay in the caches of the core that computes it. Results do not depend on the
//! number of threads: rows are independent in the forward, and sums over rows are taken image by image, in order.

mod activation;
mod adapter;
mod backward;
mod forward;
mod grads;
mod image_backward;
mod mixed;
mod params;
mod saved;
mod side;
mod tensors;
mod weight_cache;
mod weights;

pub use backward::block_backward;
pub use forward::{block_forward, block_forward_saving};
pub use grads::{BlockGrads, Wanted};
pub use mixed::{BlockGroup, PackedBlock, block_forward_mixed};
pub use params::{AdapterNorm, AdapterPlacement, BlockDims, BlockParams};
pub use saved::{Checkpoint, Saved};
pub use side::{LayerSide, LoraParams};
pub use tensors::{BlockTensor, PerTensor};
pub use weight_cache::WeightCache;
