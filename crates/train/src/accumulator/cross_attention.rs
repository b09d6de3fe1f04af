//! Attention of a class's state to its samples (Vaswani et al., 2017; one head).
//!
//! ```text
//! h' = h + softmax((h W_q) (p W_k)ᵀ / sqrt(E)) (p W_v) W_o
//! ```
//! over the k samples p of the class. Unlike a recurrent cell it does not see the samples' order.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use kinsight_model::parameters::ParameterSource;
use rand_chacha::ChaCha8Rng;

use super::dropout::drop_out;

/// The parameters; matrices are `[E, E]` and multiply rows from the right.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// State to query.
    pub w_q: Param<Tensor<2>>,
    /// Sample to key.
    pub w_k: Param<Tensor<2>>,
    /// Sample to value.
    pub w_v: Param<Tensor<2>>,
    /// Mixed values to state.
    pub w_o: Param<Tensor<2>>,
}

impl CrossAttention {
    /// Reads `name.{w_q, w_k, w_v, w_o}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, embedding: usize) -> Self {
        let mut matrix = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding, embedding]);
        let [w_q, w_k, w_v, w_o] = ["w_q", "w_k", "w_v", "w_o"].map(&mut matrix);
        Self { w_q, w_k, w_v, w_o }
    }

    /// Folds each class's samples into its state.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let [groups, count, embedding] = samples.dims();
        let flat = samples.reshape([groups * count, embedding]);
        let project = |w: &Param<Tensor<2>>| flat.clone().matmul(w.val()).reshape([groups, count, embedding]);
        let query = state.clone().matmul(self.w_q.val()).reshape([groups, 1, embedding]);
        let scores = query.matmul(project(&self.w_k).swap_dims(1, 2)).mul_scalar((embedding as f64).powf(-0.5));
        let mixed = activation::softmax(scores, 2).matmul(project(&self.w_v)); // [G, 1, E]
        let added = mixed.reshape([groups, embedding]).matmul(self.w_o.val());
        state + drop_out(added, dropout, rng)
    }
}
