//! Recall@K of metric learning: does a relevant item appear among the first K?
//!
//! ```text
//! Recall@K = 1 if some relevant item has rank <= K, else 0
//! ```
//! Source: Jégou, Douze and Schmid, "Product quantization for nearest neighbor search" (2011); Oh Song et al., "Deep Metric
//! Learning via Lifted Structured Feature Embedding" (2016). Elsewhere it is called the hit rate, and over K the CMC curve.
//! Differs from information retrieval's recall, which is the *share* of the relevant items found.

use super::Ranking;

/// 1 if a relevant item is among the first `k`, else 0.
pub fn recall_at_k(ranking: &Ranking<'_>, k: usize) -> f64 {
    f64::from(ranking.ranks.first().is_some_and(|&rank| rank as usize <= k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Answers: wrong, wrong, right, right.
        let ranking = Ranking { ranks: &[3, 4], relevant: 5 };
        assert_eq!([1, 2, 3, 4].map(|k| recall_at_k(&ranking, k)), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(recall_at_k(&Ranking { ranks: &[], relevant: 0 }, 10), 0.0);
    }
}
