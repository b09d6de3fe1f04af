//! The number format of a computation's matrix products.

use serde::{Deserialize, Serialize};

/// Number format of the operands of matrix products, and of the activations kept for the backward.
///
/// Parameters, inputs, outputs, gradients, sums, norms, softmax and the residual stream are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of precision.
    #[default]
    F32,
    /// 8 bits of precision, the range of f32, half the memory; about twice as fast where
    /// [`cpu_features`](crate::cpu_features) is `avx512bf16`.
    Bf16,
}
