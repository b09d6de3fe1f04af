//! One file a subcommand.

pub mod audit;
pub mod backbones;
pub mod calibrate;
pub mod compare;
pub mod conveniences;
pub mod data;
pub mod device;
pub mod embed;
pub mod eval;
pub mod explain;
pub mod export;
pub mod images;
pub mod index;
pub mod methods;
pub mod plan;
pub mod pretrain;
pub mod quickstart;
pub mod search;
pub mod serve;
pub mod settings;
pub mod train;
