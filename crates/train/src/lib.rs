//! Training: losses, proxies, accumulators, optimizers, the trainer and its run folder.
//!
//! Like `kinsight-model` this crate names the tensor engine; command lines and servers are elsewhere.

#[macro_use]
mod settings;

pub mod accumulator;
pub mod bank;
pub mod compare;
pub mod config;
pub mod da_vpt;
pub mod error;
pub mod evaluation;
mod health;
pub mod init;
pub mod learner;
pub mod loss;
pub mod miner;
pub mod optim;
pub mod proxies;
pub mod run;
pub mod sampler;
pub mod trainer;

pub use config::TrainConfig;
pub use error::TrainError;
