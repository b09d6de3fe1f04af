//! Precision@K: the share of relevant items among the first K.
//!
//! ```text
//! Precision@K = |{relevant items of rank <= K}| / K
//! ```
//! Source: Manning, Raghavan and Schütze, "Introduction to Information Retrieval" (2008), section 8.4. The divisor is K even
//! where fewer items are relevant, so a query with R < K cannot reach 1.

use super::{Ranking, per_item};

/// Share of relevant items among the first `k`, in [0, 1].
pub fn precision_at_k(ranking: &Ranking<'_>, k: usize) -> f64 {
    per_item(ranking.hits_at(k) as f64, k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Answers: right, wrong, right, wrong.
        let ranking = Ranking { ranks: &[1, 3], relevant: 2 };
        assert_eq!([1, 2, 3, 4].map(|k| precision_at_k(&ranking, k)), [1.0, 0.5, 2.0 / 3.0, 0.5]);
    }
}
