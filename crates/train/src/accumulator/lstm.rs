//! The long short-term memory (Hochreiter and Schmidhuber, 1997).
//!
//! ```text
//! i, f, o = sigmoid(p W_i* + h W_h* + b_*)     g = tanh(p W_ig + h W_hg + b_g)
//! c' = f * c + i * g                           h' = o * tanh(c')
//! ```
//! The proxy memory holds one vector a class, so the cell is not carried from batch to batch: c starts as h.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use kinsight_model::parameters::ParameterSource;
use rand_chacha::ChaCha8Rng;

use super::dropout::drop_out;

/// The parameters; matrices are `[E, E]` and multiply rows from the right.
#[derive(Module, Debug)]
pub struct Lstm {
    /// Input to input gate.
    pub w_ii: Param<Tensor<2>>,
    /// State to input gate.
    pub w_hi: Param<Tensor<2>>,
    /// Input to forget gate.
    pub w_if: Param<Tensor<2>>,
    /// State to forget gate.
    pub w_hf: Param<Tensor<2>>,
    /// Input to candidate.
    pub w_ig: Param<Tensor<2>>,
    /// State to candidate.
    pub w_hg: Param<Tensor<2>>,
    /// Input to output gate.
    pub w_io: Param<Tensor<2>>,
    /// State to output gate.
    pub w_ho: Param<Tensor<2>>,
    /// `[E]`
    pub b_i: Param<Tensor<1>>,
    /// `[E]`
    pub b_f: Param<Tensor<1>>,
    /// `[E]`
    pub b_g: Param<Tensor<1>>,
    /// `[E]`
    pub b_o: Param<Tensor<1>>,
}

impl Lstm {
    /// Reads `name.{w_ii, .., b_o}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, embedding: usize) -> Self {
        let mut matrix = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding, embedding]);
        let [w_ii, w_hi, w_if, w_hf, w_ig, w_hg, w_io, w_ho] =
            ["w_ii", "w_hi", "w_if", "w_hf", "w_ig", "w_hg", "w_io", "w_ho"].map(&mut matrix);
        let mut bias = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding]);
        let [b_i, b_f, b_g, b_o] = ["b_i", "b_f", "b_g", "b_o"].map(&mut bias);
        Self { w_ii, w_hi, w_if, w_hf, w_ig, w_hg, w_io, w_ho, b_i, b_f, b_g, b_o }
    }

    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let count = samples.dims()[1];
        let start = (state.clone(), state);
        let (h, _) = (0..count).fold(start, |(h, c), i| {
            let p = samples.clone().narrow(1, i, 1).squeeze_dim::<2>(1);
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
