//! R-precision: the share of relevant items among the first R, R being how many there are.
//!
//! ```text
//! R-precision = |{relevant items of rank <= R}| / R
//! ```
//! Source: Musgrave, Belongie and Lim, "A Metric Learning Reality Check" (2020), section 3.3; Manning et al. (2008), section
//! 8.4.

use super::{Ranking, per_item};

/// Share of relevant items among the first R, in [0, 1].
pub fn r_precision(ranking: &Ranking<'_>) -> f64 {
    per_item(ranking.hits_at(ranking.relevant) as f64, ranking.relevant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // R = 4; answers: right, wrong, right, wrong, right, right.
        assert_eq!(r_precision(&Ranking { ranks: &[1, 3, 5, 6], relevant: 4 }), 0.5);
        assert_eq!(r_precision(&Ranking { ranks: &[], relevant: 0 }), 0.0);
    }
}
