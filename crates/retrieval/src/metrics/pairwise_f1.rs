//! Pairwise F1 of a clustering: precision and recall of "these two belong together" over all pairs of items.
//!
//! ```text
//! P = both / same_cluster,  R = both / same_class,  F1 = 2 P R / (P + R) = 2 both / (same_cluster + same_class)
//! ```
//! Source: Manning, Raghavan and Schütze (2008), section 16.3; reported with NMI since Oh Song et al. (2016).

use crate::contingency::Contingency;

/// Harmonic mean of pairwise precision and recall, in [0, 1]; 1 where neither side joins any two items.
pub fn pairwise_f1(contingency: &Contingency) -> f64 {
    let pairs = contingency.pairs();
    match pairs.same_cluster + pairs.same_class {
        0.0 => 1.0,
        joined => 2.0 * pairs.same_both / joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // 1 pair shares both, 3 the cluster, 2 the class: P = 1/3, R = 1/2, F1 = 2/5.
        assert!((pairwise_f1(&Contingency::new(&[0, 0, 1, 1], &[5, 5, 5, 6]).unwrap()) - 0.4).abs() < 1e-15);
        assert_eq!(pairwise_f1(&Contingency::new(&[0, 1], &[5, 6]).unwrap()), 1.0);
    }
}
