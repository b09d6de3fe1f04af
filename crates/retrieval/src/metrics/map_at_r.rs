//! MAP@R: average precision over the first R answers, R being how many relevant items there are.
//!
//! ```text
//! MAP@R = 1/R * sum_{i=1..R} P(i),   P(i) = precision at i if the i-th answer is relevant, else 0
//! ```
//! Source: Musgrave, Belongie and Lim, "A Metric Learning Reality Check" (2020), eq. 2-3. Unlike average precision it looks
//! at R answers only, and unlike Recall@1 it rewards a well ordered neighborhood.

use super::{Ranking, per_item};

/// Average precision over the first R answers, in [0, 1]; R does not count the query.
pub fn map_at_r(ranking: &Ranking<'_>) -> f64 {
    per_item(ranking.summed_precision_at(ranking.relevant), ranking.relevant)
}

/// MAP@R with the query counted in R, as the reference implementation of VPTSP-G reports it.
///
/// ```text
/// 1/(R+1) * sum_{i=1..R+1} P(i)
/// ```
/// Differs from [`map_at_r`]: R is taken from the size of the class, the query included, though the query is not a result. One
/// more result is looked at, and not even a perfect ranking reaches 1 but only R/(R+1). Kept to compare with figures
/// published that way; never to be compared with other figures.
pub fn map_at_r_counting_query(ranking: &Ranking<'_>) -> f64 {
    let class_size = ranking.relevant + usize::from(ranking.relevant > 0);
    per_item(ranking.summed_precision_at(class_size), class_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // R = 4; answers: right, wrong, right, wrong, right, ... P = 1, 0, 2/3, 0 and beyond R 3/5.
        let ranking = Ranking { ranks: &[1, 3, 5, 9], relevant: 4 };
        assert!((map_at_r(&ranking) - (1.0 + 2.0 / 3.0) / 4.0).abs() < 1e-15);
        assert!((map_at_r_counting_query(&ranking) - (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 5.0).abs() < 1e-15);
    }

    #[test]
    fn a_perfect_ranking() {
        let ranking = Ranking { ranks: &[1, 2, 3], relevant: 3 };
        assert_eq!(map_at_r(&ranking), 1.0);
        assert_eq!(map_at_r_counting_query(&ranking), 0.75);
        let none = Ranking { ranks: &[], relevant: 0 };
        assert_eq!((map_at_r(&none), map_at_r_counting_query(&none)), (0.0, 0.0));
    }
}
