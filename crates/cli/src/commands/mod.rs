//! One file a subcommand.

pub mod backbones;
pub mod conveniences;
pub mod data;
pub mod embed;
pub mod eval;
pub mod images;
pub mod methods;
pub mod pretrain;
pub mod quickstart;
pub mod settings;
pub mod subject;
pub mod train;
