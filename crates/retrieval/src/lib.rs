//! Exact search among embeddings, and the metrics that judge it.
//!
//! Takes embeddings that are already computed; knows nothing of images, models or tensors. Everything rests on two
//! things: [`UnitEmbeddings`], the only form in which vectors come in, and a walk over the matrix of all similarities in
//! tiles that never holds more than a few of them. Memory is a setting; results do not depend on the number of threads.
//!
//! | to | use |
//! |---|---|
//! | judge embeddings | [`evaluate_self`], [`evaluate_query_gallery`] with [`EvalConfig`] |
//! | find neighbours | [`search_self`], [`search`] with [`KnnConfig`] |
//! | compute one metric of a ranking | [`metrics`] |
//!
//! It does not approximate: there is no index here.

mod candidates;
mod classes;
mod embeddings;
mod error;
mod evaluation;
mod knn;
pub mod metrics;
mod neighbour;
mod per_class;
mod rank_block;
mod rankings;
mod scores;
mod tiles;

pub use embeddings::UnitEmbeddings;
pub use error::{Result, RetrievalError};
pub use evaluation::{EvalConfig, Evaluation, evaluate_query_gallery, evaluate_self};
pub use knn::{KnnConfig, Neighbours, search, search_self};
pub use neighbour::Neighbour;
pub use per_class::ClassScores;
