//! One file a subcommand.

pub mod audit;
pub mod backbones;
pub mod calibrate;
pub mod eval;
pub mod explain;
pub mod export;
pub mod index;
pub mod methods;
pub mod pretrain;
pub mod quickstart;
pub mod search;
pub mod serve;
pub mod settings;
pub mod train;
