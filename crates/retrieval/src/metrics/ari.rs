//! Adjusted Rand index: agreement of a clustering with the classes over pairs of items, with chance taken off.
//!
//! ```text
//! ARI = (both - E) / ((same_class + same_cluster) / 2 - E),   E = same_class * same_cluster / all
//! ```
//! where `both` counts the pairs that share class and cluster. Source: Hubert and Arabie, "Comparing partitions" (1985),
//! eq. 5.

use crate::contingency::Contingency;

/// Adjusted Rand index, at most 1, near 0 for a random clustering. Partitions that are equal count as 1.
pub fn ari(contingency: &Contingency) -> f64 {
    let pairs = contingency.pairs();
    if pairs.same_both == pairs.same_class && pairs.same_both == pairs.same_cluster {
        return 1.0;
    }
    let expected = pairs.same_class * pairs.same_cluster / pairs.all;
    (pairs.same_both - expected) / ((pairs.same_class + pairs.same_cluster) / 2.0 - expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Of 6 pairs, 2 share the class, 3 the cluster, 1 both: E = 1, (1 - 1) / (2.5 - 1) = 0.
        assert_eq!(ari(&Contingency::new(&[0, 0, 1, 1], &[5, 5, 5, 6]).unwrap()), 0.0);
        // 2, 2 and none of both: E = 2/3, (0 - 2/3) / (2 - 2/3) = -1/2.
        let crossed = Contingency::new(&[0, 0, 1, 1], &[0, 1, 0, 1]).unwrap();
        assert!((ari(&crossed) - -0.5).abs() < 1e-12);
        assert_eq!(ari(&Contingency::new(&[0, 1], &[4, 3]).unwrap()), 1.0);
        assert_eq!(ari(&Contingency::new(&[0], &[4]).unwrap()), 1.0);
    }
}
