//! Reciprocal rank of the first relevant item. Its mean over queries is MRR.
//!
//! ```text
//! RR = 1 / (rank of the first relevant item)
//! ```
//! Source: Voorhees, "The TREC-8 Question Answering Track Report" (1999).

use super::Ranking;

/// One over the rank of the first relevant item, in [0, 1]. The ranking must not be cut.
pub fn reciprocal_rank(ranking: &Ranking<'_>) -> f64 {
    reciprocal_rank_at_k(ranking, usize::MAX)
}

/// As [`reciprocal_rank`], but zero where no relevant item is among the first `k`.
///
/// With `k` the largest number of relevant items of any query this is pytorch-metric-learning 2.9's
/// `mean_reciprocal_rank` under `k="max_bin_count"`.
pub fn reciprocal_rank_at_k(ranking: &Ranking<'_>, k: usize) -> f64 {
    match ranking.ranks.first() {
        Some(&rank) if rank as usize <= k => 1.0 / f64::from(rank),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        let ranking = Ranking { ranks: &[4, 5], relevant: 2 };
        assert_eq!(reciprocal_rank(&ranking), 0.25);
        assert_eq!([3, 4].map(|k| reciprocal_rank_at_k(&ranking, k)), [0.0, 0.25]);
        assert_eq!(reciprocal_rank(&Ranking { ranks: &[], relevant: 0 }), 0.0);
    }
}
