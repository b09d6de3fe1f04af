//! Attention of a class's state to its samples (Vaswani et al., 2017; one head).
//!
//! ```text
//! h' = h + softmax((h W_q) (p W_k)ᵀ / sqrt(E)) (p W_v) W_o
//! ```
//! over the k samples p of the class. Unlike a recurrent cell it does not see the samples' order.

use burn::module::Param;
use burn::tensor::{Tensor, activation};
use rand_chacha::ChaCha8Rng;

use super::drop_out;

cell! {
    /// Attention to the samples: the matrices of queries, keys, values and output.
    CrossAttention { w_q, w_k, w_v, w_o } {}
}

impl CrossAttention {
    /// Folds each class's samples into its state.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: &Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let [groups, count, embedding] = samples.dims();
        let flat = samples.clone().reshape([groups * count, embedding]);
        let project = |w: &Param<Tensor<2>>| flat.clone().matmul(w.val()).reshape([groups, count, embedding]);
        let query = state.clone().matmul(self.w_q.val()).reshape([groups, 1, embedding]);
        let scores = query.matmul(project(&self.w_k).swap_dims(1, 2)).mul_scalar((embedding as f64).powf(-0.5));
        let mixed = activation::softmax(scores, 2).matmul(project(&self.w_v)); // [G, 1, E]
        let added = mixed.reshape([groups, embedding]).matmul(self.w_o.val());
        state + drop_out(added, dropout, rng)
    }
}
