//! The plain recurrent cell (Elman, 1990).
//!
//! ```text
//! h' = tanh(p W_i + h W_h + b)
//! ```

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use super::{drop_out, each_sample};

cell! {
    /// The plain recurrent cell: the matrices of input and state, and a bias.
    Rnn { w_i, w_h } { b }
}

impl Rnn {
    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: &Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        each_sample(samples).fold(state, |h, p| {
            let sum = p.matmul(self.w_i.val()) + h.matmul(self.w_h.val()) + self.b.val().unsqueeze();
            drop_out(sum.tanh(), dropout, rng)
        })
    }
}
