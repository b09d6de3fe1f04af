//! The gated recurrent cell that accumulates semantic proxies (VPTSP-G).
//!
//! ```text
//! z = sigmoid(p W_iz + h W_hz + b_iz)     r = sigmoid(p W_ir + h W_hr + b_ir)
//! n = act(p W_in + r * (h W_hn) + b_in)   h' = (1 - z) * n + z * h
//! ```
//! `act` is the ReLU in the method, tanh in the classical cell.
//!
//! Differs from the paper, which writes `h' = (1 - z) * h + z * n` and normalizes each state: [`GruGate::Paper`].

use burn::module::Param;
use burn::tensor::{Tensor, activation};
use kinsight_model::head::l2_normalize;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{AccumulatorConfig, AccumulatorKind, drop_out, each_sample};

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

cell! {
    /// The gated recurrent cell: matrices of input and state for update gate, reset gate and candidate, and their biases.
    Gru { w_iz, w_hz, w_ir, w_hr, w_in, w_hn } { b_iz, b_ir, b_in }
}

impl Gru {
    /// Runs the cell over each class's samples in order.
    ///
    /// # Shapes
    /// `state` `[G, E]`, `samples` `[G, k, E]`, result `[G, E]`
    pub fn run(
        &self,
        state: Tensor<2>,
        samples: &Tensor<3>,
        config: &AccumulatorConfig,
        rng: &mut ChaCha8Rng,
    ) -> Tensor<2> {
        each_sample(samples)
            .fold(state, |state, sample| drop_out(self.step(sample, state, config), config.dropout, rng))
    }

    fn step(&self, p: Tensor<2>, h: Tensor<2>, config: &AccumulatorConfig) -> Tensor<2> {
        let input = |w: &Param<Tensor<2>>, b: &Param<Tensor<1>>| p.clone().matmul(w.val()) + b.val().unsqueeze();
        let state = |w: &Param<Tensor<2>>| h.clone().matmul(w.val());
        let z = activation::sigmoid(input(&self.w_iz, &self.b_iz) + state(&self.w_hz));
        let r = activation::sigmoid(input(&self.w_ir, &self.b_ir) + state(&self.w_hr));
        let candidate = input(&self.w_in, &self.b_in) + r * state(&self.w_hn);
        let n = match config.kind {
            AccumulatorKind::GruRelu => activation::relu(candidate),
            _ => candidate.tanh(),
        };
        let keep = z.clone();
        let take = z.neg().add_scalar(1.0);
        match config.gru_gate {
            GruGate::Reference => take * n + keep * h,
            GruGate::Paper => l2_normalize(take * h + keep * n),
        }
    }
}
