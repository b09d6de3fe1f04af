//! Metrics of a labeled ranking, of a clustering, and of the pairs: one file each, with its definition and a worked
//! example.
//!
//! A metric of a ranking is a function of one query's [`Ranking`]; what is reported is its mean over queries
//! ([`evaluate_self`](crate::evaluate_self)). A metric of a clustering is a function of its
//! [`Contingency`](crate::Contingency) with the classes, one of the pairs a function of their
//! [`PairHistogram`](crate::PairHistogram). None of them looks at an embedding.

mod ami;
mod ari;
mod average_precision;
mod cmc;
mod geometry;
mod map_at_r;
mod ndcg_at_k;
mod nmi;
mod pairwise_f1;
mod precision_at_k;
mod r_precision;
mod recall_at_k;
mod reciprocal_rank;
mod verification;

pub use ami::ami;
pub use ari::ari;
pub use average_precision::{average_precision, average_precision_at_k};
pub use cmc::cmc;
pub use geometry::{alignment, density, uniformity};
pub use map_at_r::{map_at_r, map_at_r_counting_query};
pub use ndcg_at_k::ndcg_at_k;
pub use nmi::nmi;
pub use pairwise_f1::pairwise_f1;
pub use precision_at_k::precision_at_k;
pub use r_precision::r_precision;
pub use recall_at_k::recall_at_k;
pub use reciprocal_rank::{reciprocal_rank, reciprocal_rank_at_k};
pub use verification::{OperatingPoint, area_under_roc, equal_error_rate, fnmr_at_fmr, roc, thinned};

/// Where the relevant items of one query stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking<'a> {
    /// Ranks of relevant items, ascending, the best answer being 1. May be cut at a depth; a metric that looks no deeper
    /// does not notice.
    pub ranks: &'a [u32],
    /// R: how many relevant items the gallery holds, the query itself not counted.
    pub relevant: usize,
}

impl Ranking<'_> {
    /// How many relevant items are among the first `k`.
    pub fn hits_at(&self, k: usize) -> usize {
        self.ranks.partition_point(|&rank| rank as usize <= k)
    }

    /// Sum of the precisions at the ranks of the relevant items among the first `k`: the numerator of all average
    /// precisions.
    pub(crate) fn summed_precision_at(&self, k: usize) -> f64 {
        self.ranks[..self.hits_at(k)].iter().zip(1_u32..).map(|(&rank, hits)| f64::from(hits) / f64::from(rank)).sum()
    }
}

/// `sum / count`, and zero for a query without relevant items, which every mean leaves out.
fn per_item(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
