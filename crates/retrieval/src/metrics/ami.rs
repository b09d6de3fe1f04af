//! Adjusted mutual information: NMI with what chance alone gives taken off.
//!
//! ```text
//! AMI = (I - E[I]) / ((H(class) + H(cluster)) / 2 - E[I])
//! E[I] = sum over class sizes a, cluster sizes b, overlaps m of  m/n ln(n m / (a b)) P(m),
//! P(m) = C(a, m) C(n - a, b - m) / C(n, b)
//! ```
//! Source: Vinh, Epps and Bailey, "Information Theoretic Measures for Clusterings Comparison" (2010), eq. 24a and table 2,
//! with the arithmetic mean.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::contingency::Contingency;

/// Adjusted mutual information, at most 1, near 0 for a random clustering. One class in one cluster counts as 1.
pub fn ami(contingency: &Contingency) -> f64 {
    if contingency.is_trivial() {
        return 1.0;
    }
    let expected = expected_mutual_information(contingency);
    let (found, best) = (contingency.mutual_information() - expected, contingency.mean_entropy() - expected);
    // Both vanish where every item is its own class or cluster; the sign must not decide the result there.
    found / if best < 0.0 { best.min(-f64::EPSILON) } else { best.max(f64::EPSILON) }
}

/// Sizes repeat, so each pair of distinct sizes is worked out once.
fn expected_mutual_information(contingency: &Contingency) -> f64 {
    let n = contingency.items();
    let ln_factorials: Vec<f64> = std::iter::once(0.0)
        .chain((1..=n).scan(0.0, |sum, i| {
            *sum += (i as f64).ln();
            Some(*sum)
        }))
        .collect();
    let ln_factorial = |i: u64| ln_factorials[i as usize];
    let (class_sizes, cluster_sizes) = (counted(contingency.class_sizes()), counted(contingency.cluster_sizes()));
    let per_class_size: Vec<f64> = class_sizes
        .par_iter()
        .map(|&(a, classes)| {
            let mut sum = 0.0;
            for &(b, clusters) in &cluster_sizes {
                let fixed =
                    ln_factorial(a) + ln_factorial(b) + ln_factorial(n - a) + ln_factorial(n - b) - ln_factorial(n);
                let mut expected = 0.0;
                for m in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let probability = fixed
                        - ln_factorial(m)
                        - ln_factorial(a - m)
                        - ln_factorial(b - m)
                        - ln_factorial(n + m - a - b);
                    let (m, n) = (m as f64, n as f64);
                    expected += m / n * (n * m / (a as f64 * b as f64)).ln() * probability.exp();
                }
                sum += (classes * clusters) as f64 * expected;
            }
            sum
        })
        .collect();
    per_class_size.iter().sum()
}

/// Distinct sizes with how often each occurs.
fn counted(sizes: &[u64]) -> Vec<(u64, u64)> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for &size in sizes {
        *counts.entry(size).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Classes {2, 2}, clusters {2, 2} of 4 items: an overlap m of sizes 2 and 2 has P(0, 1, 2) = 1/6, 4/6, 1/6, and only
        // m = 2 has a logarithm other than zero. E[I] = 4 * (2/4 ln 2) / 6 = ln 2 / 3.
        let crossed = Contingency::new(&[0, 0, 1, 1], &[0, 1, 0, 1]).unwrap();
        assert!((expected_mutual_information(&crossed) - 2.0_f64.ln() / 3.0).abs() < 1e-12);
        assert!((ami(&crossed) - -0.5).abs() < 1e-12);
        assert!((ami(&Contingency::new(&[0, 0, 1, 1], &[9, 9, 4, 4]).unwrap()) - 1.0).abs() < 1e-12);
        assert_eq!(ami(&Contingency::new(&[0, 0], &[1, 1]).unwrap()), 1.0);
    }
}
