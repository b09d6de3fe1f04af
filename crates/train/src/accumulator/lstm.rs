//! The long short-term memory (Hochreiter and Schmidhuber, 1997).
//!
//! ```text
//! i, f, o = sigmoid(p W_i* + h W_h* + b_*)     g = tanh(p W_ig + h W_hg + b_g)
//! c' = f * c + i * g                           h' = o * tanh(c')
//! ```
//! The proxy memory holds one vector a class, so the cell is not carried from batch to batch: c starts as h.

use burn::module::Param;
use burn::tensor::{Tensor, activation};
use rand_chacha::ChaCha8Rng;

use super::{drop_out, each_sample};

cell! {
    /// The long short-term memory: matrices of input and state for input gate, forget gate, candidate and output gate, and
    /// their biases.
    Lstm { w_ii, w_hi, w_if, w_hf, w_ig, w_hg, w_io, w_ho } { b_i, b_f, b_g, b_o }
}

impl Lstm {
    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: &Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let start = (state.clone(), state);
        let (h, _) = each_sample(samples).fold(start, |(h, c), p| {
            let sum = |w_i: &Param<Tensor<2>>, w_h: &Param<Tensor<2>>, b: &Param<Tensor<1>>| {
                p.clone().matmul(w_i.val()) + h.clone().matmul(w_h.val()) + b.val().unsqueeze()
            };
            let input = activation::sigmoid(sum(&self.w_ii, &self.w_hi, &self.b_i));
            let forget = activation::sigmoid(sum(&self.w_if, &self.w_hf, &self.b_f));
            let candidate = sum(&self.w_ig, &self.w_hg, &self.b_g).tanh();
            let output = activation::sigmoid(sum(&self.w_io, &self.w_ho, &self.b_o));
            let c = forget * c + input * candidate;
            (drop_out(output * c.clone().tanh(), dropout, rng), c)
        });
        h
    }
}
