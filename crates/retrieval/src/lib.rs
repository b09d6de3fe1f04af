//! Exact search among embeddings, and the metrics that judge it.
//!
//! Takes embeddings that are already computed; knows nothing of images, models or tensors. Everything rests on two
//! things: [`UnitEmbeddings`], the only form in which vectors come in, and a walk over the matrix of all similarities in
//! tiles that never holds more than a few of them. Memory is a setting; results do not depend on the number of threads.
//!
//! | to | use |
//! |---|---|
//! | judge embeddings | [`evaluate_self`], [`evaluate_query_gallery`] with [`EvalConfig`] |
//! | find wrong labels and outliers | [`suspects`], [`outliers`], [`class_diversity`] |
//! | draw a map of them | [`tsne`] with [`TsneConfig`] |
//! | find neighbors | [`search_self`], [`search`] with [`KnnConfig`] |
//! | search rows that lie in a file | [`scan`] |
//! | read and write embeddings | [`io`] |
//! | compute one metric | [`metrics`] |
//! | improve neighbors after the fact | [`post`] |
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
mod label_audit;
pub mod metrics;
mod neighbor;
mod pair_histogram;
mod paired;
mod per_class;
pub mod post;
mod rank_block;
mod rankings;
pub mod scan;
mod scores;
mod student_t;
mod tiles;
mod tsne;

pub use bootstrap::{BootstrapConfig, BootstrapUnit, Interval};
pub use contingency::Contingency;
pub use embeddings::UnitEmbeddings;
pub use error::{Result, RetrievalError};
pub use evaluation::{
    ClusteringScores, EvalConfig, Evaluation, PairScores, evaluate_query_gallery, evaluate_roles, evaluate_self,
    evaluate_with_identity,
};
pub use kmeans::{Clustering, KMeansConfig, kmeans};
pub use knn::{KnnConfig, Neighbors, search, search_self};
pub use label_audit::{ClassDiversity, Outlier, Suspect, class_diversity, outliers, suspects};
pub use neighbor::Neighbor;
pub use pair_histogram::PairHistogram;
pub use paired::{ModelScores, PairedDifference, QueryScore, paired_differences};
pub use per_class::ClassScores;
pub use tsne::{TsneConfig, tsne};
