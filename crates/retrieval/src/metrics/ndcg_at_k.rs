//! Normalized discounted cumulative gain of the first K answers, an answer being relevant or not.
//!
//! ```text
//! DCG@K  = sum over relevant items of rank r <= K of 1 / log2(1 + r)
//! nDCG@K = DCG@K / (DCG@K of a perfect ranking) = DCG@K / sum_{r=1..min(K,R)} 1 / log2(1 + r)
//! ```
//! Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), in the form of Burges et al.
//! (2005), with gains 0 and 1.

use super::Ranking;

/// Discounted gain of the first `k` answers over the best possible, in [0, 1].
pub fn ndcg_at_k(ranking: &Ranking<'_>, k: usize) -> f64 {
    let best = (1..=k.min(ranking.relevant)).map(|rank| discount(rank as f64)).sum::<f64>();
    let found = ranking.ranks[..ranking.hits_at(k)].iter().map(|&rank| discount(f64::from(rank))).sum::<f64>();
    if best == 0.0 { 0.0 } else { found / best }
}

fn discount(rank: f64) -> f64 {
    (1.0 + rank).log2().recip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // R = 2, relevant items at ranks 1 and 3: (1/log2(2) + 1/log2(4)) / (1/log2(2) + 1/log2(3)).
        let ranking = Ranking { ranks: &[1, 3], relevant: 2 };
        let expected = 1.5 / (1.0 + 1.0 / 3.0_f64.log2());
        assert!((ndcg_at_k(&ranking, 3) - expected).abs() < 1e-15);
        assert_eq!(ndcg_at_k(&ranking, 1), 1.0);
        assert_eq!(ndcg_at_k(&Ranking { ranks: &[1, 2], relevant: 2 }, 10), 1.0);
        assert_eq!(ndcg_at_k(&Ranking { ranks: &[], relevant: 0 }, 10), 0.0);
    }
}
