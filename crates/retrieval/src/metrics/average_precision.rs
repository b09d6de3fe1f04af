//! Average precision: the precision at each relevant item's rank, averaged over the relevant items. Its mean over queries is
//! MAP.
//!
//! ```text
//! AP = 1/R * sum over relevant items of (relevant items of rank <= r) / r,   r the item's rank
//! ```
//! Source: Manning, Raghavan and Schütze (2008), eq. 8.8.

use super::{Ranking, per_item};

/// Average precision over the whole ranking, in [0, 1]. The ranking must not be cut.
pub fn average_precision(ranking: &Ranking<'_>) -> f64 {
    average_precision_at_k(ranking, usize::MAX)
}

/// Average precision over the first `k` answers, still divided by all R relevant items.
///
/// With `k` the largest number of relevant items of any query this is pytorch-metric-learning 2.9's
/// `mean_average_precision` under `k="max_bin_count"`; with `k` = R it is [`map_at_r`](super::map_at_r).
pub fn average_precision_at_k(ranking: &Ranking<'_>, k: usize) -> f64 {
    per_item(ranking.summed_precision_at(k), ranking.relevant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Answers: right, wrong, right, wrong, wrong, right; all relevant items found.
        let ranking = Ranking { ranks: &[1, 3, 6], relevant: 3 };
        assert!((average_precision(&ranking) - (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 3.0).abs() < 1e-15);
        assert!((average_precision_at_k(&ranking, 5) - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
        assert_eq!(average_precision(&Ranking { ranks: &[], relevant: 0 }), 0.0);
    }
}
