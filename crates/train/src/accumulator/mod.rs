//! How the proxy tower's outputs become the semantic proxies of classes.
//!
//! The container Z `[C, E]` is state, not a parameter: it is passed in, the new one is returned, and no gradient
//! crosses from batch to batch.

mod ema;
mod gru;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use kinsight_model::head::l2_normalise;
use kinsight_model::parameters::ParameterSource;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use ema::EmaUpdate;
pub use gru::{Gru, GruActivation, GruGate};

/// Which accumulator, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccumulatorKind {
    /// Exponential moving average (VPTSP-M).
    Ema,
    /// GRU with tanh.
    Gru,
    /// GRU with ReLU (VPTSP-G).
    #[default]
    GruRelu,
}

/// Options of the accumulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccumulatorConfig {
    /// Which one.
    pub kind: AccumulatorKind,
    /// Share of the old value that EMA keeps.
    pub ema_keep: f64,
    /// How EMA adds the new value.
    pub ema_update: EmaUpdate,
    /// Which side of the GRU's update gate keeps the old state.
    pub gru_gate: GruGate,
    /// Dropout on each state of the GRU.
    pub dropout: f64,
}

impl Default for AccumulatorConfig {
    /// The authors' values.
    fn default() -> Self {
        Self {
            kind: AccumulatorKind::default(),
            ema_keep: 0.8,
            ema_update: EmaUpdate::Mix,
            gru_gate: GruGate::default(),
            dropout: 0.0,
        }
    }
}

/// An accumulator with its parameters, if it has any.
#[derive(Module, Debug)]
pub struct Accumulator {
    /// The recurrent cell of the GRU variants.
    pub gru: Option<Gru>,
    /// Options.
    #[module(skip)]
    pub config: AccumulatorConfig,
}

/// What one batch makes of the container.
#[derive(Debug)]
pub struct Accumulated {
    /// New states of the batch's classes before normalisation, `[G, E]`.
    pub states: Tensor<2>,
    /// The whole container with the new states, rows normalised, `[C, E]`; still in the graph.
    pub container: Tensor<2>,
}

impl Accumulator {
    /// Reads the cell's parameters under `name.gru`.
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        embedding: usize,
        config: &AccumulatorConfig,
    ) -> Self {
        let activation = match config.kind {
            AccumulatorKind::Ema => None,
            AccumulatorKind::Gru => Some(GruActivation::Tanh),
            AccumulatorKind::GruRelu => Some(GruActivation::Relu),
        };
        let gru =
            activation.map(|act| Gru::from_source(source, &format!("{name}.gru"), embedding, act, config.gru_gate));
        Self { gru, config: config.clone() }
    }

    /// Folds the batch's samples into the container.
    ///
    /// # Shapes
    /// `container` `[C, E]`; `classes` names the G classes of the batch; `samples` `[G * k, E]`, grouped by class.
    pub fn accumulate(
        &self,
        container: Tensor<2>,
        classes: &[usize],
        samples: Tensor<2>,
        dropout: &mut ChaCha8Rng,
    ) -> Accumulated {
        let [rows, embedding] = samples.dims();
        let groups = classes.len();
        let samples = samples.reshape([groups, rows / groups, embedding]);
        let index = class_index(classes, &container);
        let old = container.clone().select(0, index.clone());
        let states = match &self.gru {
            None => ema::update(old.clone(), samples, &self.config),
            Some(gru) => gru.run(old.clone(), samples, self.config.dropout, dropout),
        };
        let replaced = replace_rows(container, classes, &index, states.clone());
        Accumulated { states, container: l2_normalise(replaced) }
    }
}

fn class_index(classes: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let values: Vec<i64> = classes.iter().map(|c| *c as i64).collect();
    Tensor::from_data(TensorData::new(values, [classes.len()]), &like.device())
}

/// `container` with the rows `classes` set to `states`.
fn replace_rows(container: Tensor<2>, classes: &[usize], index: &Tensor<1, Int>, states: Tensor<2>) -> Tensor<2> {
    let [total, embedding] = container.dims();
    let mut keep = vec![1.0f32; total];
    for class in classes {
        keep[*class] = 0.0;
    }
    let keep = Tensor::<1>::from_data(TensorData::new(keep, [total]), &container.device());
    let scattered = Tensor::zeros([total, embedding], &container.device()).autodiff();
    let scattered = scattered.select_assign(0, index.clone(), states, burn::tensor::IndexingUpdateOp::Add);
    container * keep.unsqueeze_dim(1) + scattered
}
