//! How the proxy tower's outputs become the semantic proxies of classes.
//!
//! The proxy memory Z `[C, E]` is state, not a parameter: it is passed in, the new one is returned, and no gradient
//! crosses from batch to batch.

/// Declares a module of `[E, E]` matrices, which multiply rows from the right, and `[E]` biases; files call them
/// `name.matrix` and `name.bias`.
macro_rules! cell {
    ($(#[$doc:meta])* $cell:ident { $($matrix:ident),+ } { $($bias:ident),* }) => {
        $(#[$doc])*
        #[derive(burn::module::Module, Debug)]
        pub struct $cell {
            $(#[doc = "`[E, E]`"] pub $matrix: burn::module::Param<burn::tensor::Tensor<2>>,)+
            $(#[doc = "`[E]`"] pub $bias: burn::module::Param<burn::tensor::Tensor<1>>,)*
        }

        impl $cell {
            /// Reads the parameters below `name`, matrices first.
            pub fn from_source(
                source: &mut impl kinsight_model::parameters::ParameterSource,
                name: &str,
                embedding: usize,
            ) -> Self {
                Self {
                    $($matrix: source.parameter(&format!("{name}.{}", stringify!($matrix)), [embedding, embedding]),)+
                    $($bias: source.parameter(&format!("{name}.{}", stringify!($bias)), [embedding]),)*
                }
            }
        }
    };
}

mod cross_attention;
mod ema;
mod gru;
mod lstm;
mod rnn;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use kinsight_model::head::l2_normalize;
use kinsight_model::parameters::ParameterSource;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use cross_attention::CrossAttention;
pub use ema::EmaUpdate;
pub use gru::{Gru, GruGate};
pub use lstm::Lstm;
pub use rnn::Rnn;

/// Which accumulator, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccumulatorKind {
    /// No memory: the mean of the class's samples in this batch.
    None,
    /// Exponential moving average (VPTSP-M).
    Ema,
    /// GRU with tanh.
    Gru,
    /// GRU with ReLU (VPTSP-G).
    #[default]
    GruRelu,
    /// Plain recurrent cell.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// Attention of the state to the samples.
    #[serde(rename = "cross-attention")]
    CrossAttention,
}

settings! {
    /// Options of the accumulator.
    ///
    /// Defaults: the authors' values.
    AccumulatorConfig {
        /// Which one.
        kind: AccumulatorKind = AccumulatorKind::default(),
        /// Share of the old value that EMA keeps.
        ema_keep: f64 = 0.8,
        /// How EMA adds the new value.
        ema_update: EmaUpdate = EmaUpdate::Mix,
        /// Which side of the GRU's update gate keeps the old state.
        gru_gate: GruGate = GruGate::default(),
        /// Dropout on each state of a recurrent cell, and on what attention adds.
        dropout: f64 = 0.0,
    }
}

/// An accumulator with its parameters, if it has any.
#[derive(Module, Debug)]
pub struct Accumulator {
    /// The recurrent cell of the GRU variants.
    pub gru: Option<Gru>,
    /// The plain recurrent cell.
    pub rnn: Option<Rnn>,
    /// The long short-term memory.
    pub lstm: Option<Lstm>,
    /// Attention to the samples.
    pub attention: Option<CrossAttention>,
    /// Options.
    #[module(skip)]
    pub config: AccumulatorConfig,
}

/// What one batch makes of the proxy memory.
#[derive(Debug)]
pub struct Accumulated {
    /// New states of the batch's classes before normalization, `[G, E]`.
    pub states: Tensor<2>,
    /// The whole proxy memory with the new states, rows normalized, `[C, E]`; still in the graph.
    pub proxy_memory: Tensor<2>,
}

impl Accumulator {
    /// Reads the parameters under `name.gru`, `name.rnn`, `name.lstm` or `name.attention`.
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        embedding: usize,
        config: &AccumulatorConfig,
    ) -> Self {
        let is = |kind| config.kind == kind;
        let gru = (is(AccumulatorKind::Gru) || is(AccumulatorKind::GruRelu))
            .then(|| Gru::from_source(source, &format!("{name}.gru"), embedding));
        let rnn = is(AccumulatorKind::Rnn).then(|| Rnn::from_source(source, &format!("{name}.rnn"), embedding));
        let lstm = is(AccumulatorKind::Lstm).then(|| Lstm::from_source(source, &format!("{name}.lstm"), embedding));
        let attention = is(AccumulatorKind::CrossAttention)
            .then(|| CrossAttention::from_source(source, &format!("{name}.attention"), embedding));
        Self { gru, rnn, lstm, attention, config: config.clone() }
    }

    /// Folds the batch's samples into the proxy memory.
    ///
    /// # Shapes
    /// `proxy_memory` `[C, E]`; `classes` names the G classes of the batch; `samples` `[G * k, E]`, grouped by class.
    pub fn accumulate(
        &self,
        proxy_memory: Tensor<2>,
        classes: &[usize],
        samples: Tensor<2>,
        dropout: &mut ChaCha8Rng,
    ) -> Accumulated {
        let [rows, embedding] = samples.dims();
        let groups = classes.len();
        let samples = samples.reshape([groups, rows / groups, embedding]);
        let index = class_index(classes, &proxy_memory);
        let old = proxy_memory.clone().select(0, index.clone());
        let states = self.states(old, &samples, dropout);
        let replaced = replace_rows(proxy_memory, classes, &index, states.clone());
        Accumulated { states, proxy_memory: l2_normalize(replaced) }
    }

    /// New states `[G, E]` from old ones and `samples` `[G, k, E]`.
    fn states(&self, old: Tensor<2>, samples: &Tensor<3>, rng: &mut ChaCha8Rng) -> Tensor<2> {
        let dropout = self.config.dropout;
        match (&self.gru, &self.rnn, &self.lstm, &self.attention) {
            (Some(gru), ..) => gru.run(old, samples, &self.config, rng),
            (_, Some(rnn), ..) => rnn.run(old, samples, dropout, rng),
            (_, _, Some(lstm), _) => lstm.run(old, samples, dropout, rng),
            (_, _, _, Some(attention)) => attention.run(old, samples, dropout, rng),
            _ if self.config.kind == AccumulatorKind::Ema => ema::update(old, samples, &self.config),
            _ => samples.clone().mean_dim(1).squeeze_dim::<2>(1),
        }
    }
}

/// The samples of each class in order, `[G, E]` of all classes at a time.
fn each_sample(samples: &Tensor<3>) -> impl Iterator<Item = Tensor<2>> {
    (0..samples.dims()[1]).map(|i| samples.clone().narrow(1, i, 1).squeeze_dim::<2>(1))
}

fn class_index(classes: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let values: Vec<i64> = classes.iter().map(|c| *c as i64).collect();
    Tensor::from_data(TensorData::new(values, [classes.len()]), &like.device())
}

/// `proxy_memory` with the rows `classes` set to `states`.
fn replace_rows(proxy_memory: Tensor<2>, classes: &[usize], index: &Tensor<1, Int>, states: Tensor<2>) -> Tensor<2> {
    let [total, embedding] = proxy_memory.dims();
    let mut keep = vec![1.0f32; total];
    for class in classes {
        keep[*class] = 0.0;
    }
    let keep = Tensor::<1>::from_data(TensorData::new(keep, [total]), &proxy_memory.device());
    let scattered = Tensor::zeros([total, embedding], &proxy_memory.device()).autodiff();
    let scattered = scattered.select_assign(0, index.clone(), states, burn::tensor::IndexingUpdateOp::Add);
    proxy_memory * keep.unsqueeze_dim(1) + scattered
}

/// Inverted dropout of a state: sets entries to zero with `probability` and scales the others; the mask is a function of
/// seed and step.
fn drop_out(x: Tensor<2>, probability: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
    if probability <= 0.0 {
        return x;
    }
    let shape = x.dims();
    let kept = (1.0 / (1.0 - probability)) as f32;
    let mask: Vec<f32> =
        (0..shape[0] * shape[1]).map(|_| if rng.random::<f64>() < probability { 0.0 } else { kept }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}
