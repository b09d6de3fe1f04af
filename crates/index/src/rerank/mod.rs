//! Better orders of what a search has found, from how the hits resemble each other.

mod alpha_query_expansion;
mod k_reciprocal;

use serde::{Deserialize, Serialize};

pub use alpha_query_expansion::{AlphaQueryExpansion, expanded};
pub use k_reciprocal::{KReciprocal, k_reciprocal_distances};

use crate::error::Result;
use crate::store::{Hit, VectorQuery, VectorStore};

/// How the hits of a search are put in a better order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rerank {
    /// As found.
    #[default]
    None,
    /// Search again with the mean of the query and the best hits.
    AlphaQe(AlphaQueryExpansion),
    /// By how much of their neighborhoods query and hit share.
    KReciprocal(KReciprocal),
}

impl Rerank {
    /// Searches with one query vector; the hits in the better order. Scores stay cosine similarities with the query that
    /// was searched with: of the expanded query for `AlphaQe`, of the original one for `KReciprocal`, whose order is then
    /// not that of the scores.
    ///
    /// # Errors
    /// As [`VectorStore::search`].
    pub fn search(&self, store: &dyn VectorStore, query: &VectorQuery) -> Result<Vec<Hit>> {
        let search = |query: &VectorQuery| -> Result<Vec<Hit>> {
            Ok(store.search(query)?.into_iter().next().unwrap_or_default())
        };
        match self {
            Self::None => search(query),
            Self::AlphaQe(settings) => {
                let wanted = VectorQuery { k: settings.neighbors.max(1), with_vectors: true, ..query.clone() };
                let best = search(&wanted)?;
                search(&VectorQuery { vectors: expanded(&query.vectors, &best, settings.alpha), ..query.clone() })
            }
            Self::KReciprocal(settings) => {
                let wanted = VectorQuery { k: settings.candidates.max(query.k), with_vectors: true, ..query.clone() };
                let mut hits = k_reciprocal::reordered(&query.vectors, search(&wanted)?, settings)?;
                hits.truncate(query.k);
                if !query.with_vectors {
                    hits.iter_mut().for_each(|hit| hit.vector = None);
                }
                Ok(hits)
            }
        }
    }
}
