//! One file a subcommand.

pub mod audit;
pub mod backbones;
pub mod eval;
pub mod export;
pub mod methods;
pub mod pretrain;
pub mod quickstart;
pub mod settings;
pub mod train;
