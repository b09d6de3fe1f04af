//! Post-processing of embeddings: none of it needs training, and each is reported next to the plain figure.
//!
//! | | changes | needs |
//! |---|---|---|
//! | [`Whitening`] | all embeddings | training embeddings |
//! | [`augment_database`] | the gallery | the gallery alone |
//! | [`expand_queries`] | the queries | the gallery |
//! | [`evaluate_k_reciprocal`] | the ranking | queries and gallery |

mod database;
mod expansion;
mod reciprocal;
mod whitening;

pub use database::augment_database;
pub use expansion::expand_queries;
pub use reciprocal::{ReciprocalConfig, evaluate_k_reciprocal};
pub use whitening::Whitening;
