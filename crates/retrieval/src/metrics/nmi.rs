//! Normalized mutual information of a clustering with the classes.
//!
//! ```text
//! NMI = I(class; cluster) / ((H(class) + H(cluster)) / 2)
//! ```
//! Source: Manning, Raghavan and Schütze (2008), section 16.3; the arithmetic mean, as scikit-learn and the
//! metric-learning literature take it. High for many clusters, even random ones; [`ami`](super::ami) corrects for that.

use crate::contingency::Contingency;

/// Normalized mutual information, in [0, 1]. One class in one cluster counts as 1.
pub fn nmi(contingency: &Contingency) -> f64 {
    let entropy = contingency.mean_entropy();
    match contingency.is_trivial() {
        true => 1.0,
        false if entropy == 0.0 => 0.0,
        false => contingency.mutual_information() / entropy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Two classes of two; clusters {a, a, b} and {b}. In bits: I = 2/4 log2(4*2/(2*3)) + 1/4 log2(4/(2*3)) +
        // 1/4 log2(4/(2*1)) = 0.3113; H(class) = 1; H(cluster) = 0.8113.
        let contingency = Contingency::new(&[0, 0, 1, 1], &[5, 5, 5, 6]).unwrap();
        assert!((nmi(&contingency) - 0.311_278_12 / 0.905_639_06).abs() < 1e-7);
        assert!((nmi(&Contingency::new(&[0, 0, 1], &[7, 7, 3]).unwrap()) - 1.0).abs() < 1e-12);
        assert_eq!(nmi(&Contingency::new(&[0, 0], &[1, 1]).unwrap()), 1.0);
        assert_eq!(nmi(&Contingency::new(&[0, 1], &[1, 1]).unwrap()), 0.0);
    }
}
