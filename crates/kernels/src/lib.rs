//! The CPU kernels of a vision transformer: fused forward and backward of the pre-norm block, and the pieces around it.
//!
//! Everything takes slices and returns slices or gradients: no tensor library, no graph, no state. The block is where
//! the time of training and embedding goes, so it is the one thing written by hand; the same block composed from tensor
//! operations is the oracle it is tested against.
//!
//! ```text
//! block_forward          x -> out                              embedding, evaluation
//! block_forward_mixed    groups of x -> out                    serving: many fine-tunings over one `PackedBlock`
//! block_forward_saving   x -> out, Saved                       training; `Checkpoint` says what is saved
//! block_backward         x, Saved, d_out -> BlockGrads, d_x    computes only the gradients that are `Wanted`
//! linear                 and its backward                      patch projection
//! gemm, gemm_nt          products of f32 matrices              anything else
//! ```
//!
//! All functions use the threads of the current rayon pool; results are the same for any number of threads, bit for bit
//! (on one kind of processor: another instruction set sums in another order). The instruction set is chosen at run time
//! ([`cpu_features`]); the environment variable `KINSIGHT_CPU` (`portable`, `avx2`, `avx512`) asks for a lesser one.
//!
//! # Example
//! ```
//! use kinsight_kernels::{
//!     BlockDims, BlockParams, BlockTensor, Checkpoint, PerTensor, Precision, Wanted, block_backward, block_forward_saving,
//! };
//! let dims = BlockDims {
//!     batch: 2, tokens: 5, prompts: 3, outputs: 5, width: 8, heads: 2, hidden: 32, eps: 1e-6,
//! };
//! let values = PerTensor::from_fn(|tensor| vec![0.01; tensor.shape(&dims, 0).iter().product()]);
//! let without_adapter = |tensor| tensor < BlockTensor::DownWeight || tensor == BlockTensor::Prompts;
//! let params = BlockParams {
//!     tensors: PerTensor::from_fn(|tensor| without_adapter(tensor).then_some(&values[tensor][..])),
//!     ..BlockParams::default()
//! };
//! let x = vec![0.5; dims.input_len()];
//! let mut out = vec![0.0; dims.output_len()];
//! let wanted = Wanted::from_fn(|tensor| tensor == BlockTensor::Prompts);
//! let (precision, checkpoint) = (Precision::F32, Checkpoint::None);
//! let saved = block_forward_saving(&dims, &params, precision, checkpoint, &wanted, &x, &mut out)?;
//! let d_out = vec![1.0; dims.output_len()];
//! let mut d_x = vec![0.0; dims.input_len()];
//! let grads = block_backward(&dims, &params, precision, &x, &saved, &d_out, &wanted, Some(&mut d_x))?;
//! assert_eq!(grads[BlockTensor::Prompts].as_ref().map(Vec::len), Some(3 * 8));
//! # Ok::<(), kinsight_kernels::KernelError>(())
//! ```

mod attention;
mod block;
mod buffer;
mod cpu;
mod element;
mod elementwise;
mod error;
mod gelu;
mod gemm;
mod lanes;
mod linear;
mod norm;
mod precision;
#[cfg(feature = "profile")]
pub mod profile;
mod scratch;

pub use block::{
    AdapterNorm, AdapterPlacement, BlockDims, BlockGrads, BlockGroup, BlockParams, BlockTensor, Checkpoint, LayerSide,
    LoraParams, PackedBlock, PerTensor, Saved, Wanted, WeightCache, block_backward, block_forward, block_forward_mixed,
    block_forward_saving,
};
pub use buffer::release_idle_memory;
pub use cpu::cpu_features;
pub use error::KernelError;
pub use gemm::{Matrix, gemm, gemm_nt};
pub use linear::{LinearGrads, LinearParams, linear, linear_backward};
pub use precision::Precision;
