//! One file a subcommand.

pub mod audit;
pub mod backbones;
pub mod calibrate;
pub mod device;
pub mod conveniences;
pub mod data;
pub mod embed;
pub mod compare;
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
pub mod subject;
pub mod train;
