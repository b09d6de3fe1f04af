//! The gated recurrent cell that accumulates semantic proxies (VPTSP-G).
//!
//! ```text
//! z = sigmoid(p W_iz + h W_hz + b_iz)     r = sigmoid(p W_ir + h W_hr + b_ir)
//! n = act(p W_in + r * (h W_hn) + b_in)   h' = (1 - z) * n + z * h
//! ```
//! Differs from the paper, which writes `h' = (1 - z) * h + z * n` and normalizes each state: [`GruGate::Paper`].

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use kinsight_model::head::l2_normalize;
use kinsight_model::parameters::ParameterSource;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::dropout::drop_out;

/// Activation of the candidate state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GruActivation {
    /// The method.
    Relu,
    /// The classical cell.
    Tanh,
}

/// Which side of the update gate keeps the old state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GruGate {
    /// `(1 - z) * n + z * h`; only the proxy memory is normalized.
    #[default]
    Reference,
    /// `normalize((1 - z) * h + z * n)`.
    Paper,
}

/// The cell's parameters; matrices are `[E, E]` and multiply rows from the right.
#[derive(Module, Debug)]
pub struct Gru {
    /// Input to update gate.
    pub w_iz: Param<Tensor<2>>,
    /// State to update gate.
    pub w_hz: Param<Tensor<2>>,
    /// Input to reset gate.
    pub w_ir: Param<Tensor<2>>,
    /// State to reset gate.
    pub w_hr: Param<Tensor<2>>,
    /// Input to candidate.
    pub w_in: Param<Tensor<2>>,
    /// State to candidate.
    pub w_hn: Param<Tensor<2>>,
    /// Bias of the update gate, `[E]`.
    pub b_iz: Param<Tensor<1>>,
    /// Bias of the reset gate, `[E]`.
    pub b_ir: Param<Tensor<1>>,
    /// Bias of the candidate, `[E]`.
    pub b_in: Param<Tensor<1>>,
    /// Activation of the candidate.
    #[module(skip)]
    pub activation: GruActivation,
    /// Side of the gate.
    #[module(skip)]
    pub gate: GruGate,
}

impl Gru {
    /// Reads `name.{w_iz, .., b_in}`.
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        embedding: usize,
        activation: GruActivation,
        gate: GruGate,
    ) -> Self {
        let mut matrix = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding, embedding]);
        let [w_iz, w_hz, w_ir, w_hr, w_in, w_hn] = ["w_iz", "w_hz", "w_ir", "w_hr", "w_in", "w_hn"].map(&mut matrix);
        let mut bias = |part: &str| source.parameter(&format!("{name}.{part}"), [embedding]);
        let [b_iz, b_ir, b_in] = ["b_iz", "b_ir", "b_in"].map(&mut bias);
        Self { w_iz, w_hz, w_ir, w_hr, w_in, w_hn, b_iz, b_ir, b_in, activation, gate }
    }

    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(&self, state: Tensor<2>, samples: Tensor<3>, dropout: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let count = samples.dims()[1];
        (0..count).fold(state, |state, i| {
            let sample = samples.clone().narrow(1, i, 1).squeeze_dim::<2>(1);
            drop_out(self.cell(sample, state), dropout, rng)
        })
    }

    fn cell(&self, p: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let input = |w: &Param<Tensor<2>>, b: &Param<Tensor<1>>| p.clone().matmul(w.val()) + b.val().unsqueeze();
        let state = |w: &Param<Tensor<2>>| h.clone().matmul(w.val());
        let z = activation::sigmoid(input(&self.w_iz, &self.b_iz) + state(&self.w_hz));
        let r = activation::sigmoid(input(&self.w_ir, &self.b_ir) + state(&self.w_hr));
        let candidate = input(&self.w_in, &self.b_in) + r * state(&self.w_hn);
        let n = match self.activation {
            GruActivation::Relu => activation::relu(candidate),
            GruActivation::Tanh => candidate.tanh(),
        };
        let keep = z.clone();
        let take = z.neg().add_scalar(1.0);
        match self.gate {
            GruGate::Reference => take * n + keep * h,
            GruGate::Paper => l2_normalize(take * h + keep * n),
        }
    }
}
