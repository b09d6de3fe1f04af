//! One file a subcommand.

pub mod backbones;
pub mod compare;
pub mod eval;
pub mod export;
pub mod methods;
pub mod plan;
pub mod pretrain;
pub mod quickstart;
pub mod settings;
pub mod train;
