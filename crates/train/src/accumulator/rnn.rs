//! The plain recurrent cell (Elman, 1990).
//!
//! ```text
//! h' = tanh(p W_i + h W_h + b)
//! ```

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kinsight_model::parameters::ParameterSource;
use rand_chacha::ChaCha8Rng;

use super::dropout::drop_out;

/// The cell's parameters; matrices are `[E, E]` and multiply rows from the right.
#[derive(Module, Debug)]
pub struct Rnn {
    /// Input to state.
    pub w_i: Param<Tensor<2>>,
    /// State to state.
    pub w_h: Param<Tensor<2>>,
    /// `[E]`
    pub b: Param<Tensor<1>>,
}

impl Rnn {
    /// Reads `name.{w_i, w_h, b}`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, embedding: usize) -> Self {
        let mut matrix = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding, embedding]);
        let [w_i, w_h] = ["w_i", "w_h"].map(&mut matrix);
        Self { w_i, w_h, b: source.parameter(&format!("{name}.b"), [embedding]) }
    }

    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let count = samples.dims()[1];
        (0..count).fold(state, |h, i| {
            let p = samples.clone().narrow(1, i, 1).squeeze_dim::<2>(1);
            let sum = p.matmul(self.w_i.val()) + h.matmul(self.w_h.val()) + self.b.val().unsqueeze();
            drop_out(sum.tanh(), dropout, rng)
        })
    }
}
