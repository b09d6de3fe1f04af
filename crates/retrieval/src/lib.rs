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
//! | read and write embeddings | [`io`] |
//! | compute one metric | [`metrics`] |
//! | improve neighbours after the fact | [`post`] |
//!
//! It does not approximate: there is no index here.

mod bootstrap;
mod candidates;
mod classes;
mod columns;
mod contingency;
mod embeddings;
mod error;
mod evaluation;
pub mod io;
mod kmeans;
mod knn;
pub mod metrics;
mod neighbour;
mod pair_histogram;
mod per_class;
pub mod post;
mod rank_block;
mod rankings;
mod scores;
mod tiles;

pub use bootstrap::{BootstrapConfig, BootstrapUnit, Interval};
pub use contingency::Contingency;
pub use embeddings::UnitEmbeddings;
pub use error::{Result, RetrievalError};
pub use evaluation::{
    ClusteringScores, EvalConfig, Evaluation, PairScores, evaluate_query_gallery, evaluate_roles, evaluate_self,
    evaluate_with_identity,
};
pub use kmeans::{Clustering, KMeansConfig, kmeans};
pub use knn::{KnnConfig, Neighbours, search, search_self};
pub use neighbour::Neighbour;
pub use pair_histogram::PairHistogram;
pub use per_class::ClassScores;
