//! How the embedding fills the sphere: alignment, uniformity, density.
//!
//! ```text
//! alignment  = mean of |x - y|^2 over pairs of one class
//! uniformity = ln of the mean of exp(-2 |x - y|^2) over all pairs
//! density    = (mean of |x - y| over pairs of one class) / (mean of |x - y| over pairs of two classes)
//! ```
//! with `|x - y|^2 = 2 - 2 cos(x, y)`. Source: alignment and uniformity, Wang and Isola, "Understanding Contrastive
//! Representation Learning through Alignment and Uniformity on the Hypersphere" (2020), section 4.1 with alpha 2 and t 2;
//! density, Roth et al., "Revisiting Training Strategies and Generalization Performance in Deep Metric Learning" (2020),
//! section 5 (there of class means between classes; here of pairs on both sides). Computed from a histogram whose bins are
//! 2^-15 of similarity wide.

use crate::pair_histogram::{Bin, PairHistogram};

/// Mean squared distance of two items of a class, in [0, 4]; lower is tighter. None without such a pair.
pub fn alignment(pairs: &PairHistogram) -> Option<f64> {
    mean(pairs, |bin| bin.genuine, squared_distance)
}

/// Logarithm of the mean Gaussian potential of two items, in [-8, 0]; lower is more even. None without a pair.
pub fn uniformity(pairs: &PairHistogram) -> Option<f64> {
    mean(pairs, |bin| bin.genuine + bin.impostor, |bin| (-2.0 * squared_distance(bin)).exp()).map(f64::ln)
}

/// Mean distance within classes over that between classes; lower is better separated. None without pairs of both kinds.
pub fn density(pairs: &PairHistogram) -> Option<f64> {
    let distance = |bin: &Bin| squared_distance(bin).sqrt();
    Some(mean(pairs, |bin| bin.genuine, distance)? / mean(pairs, |bin| bin.impostor, distance)?)
}

fn squared_distance(bin: &Bin) -> f64 {
    2.0 - 2.0 * bin.middle
}

fn mean(pairs: &PairHistogram, count: impl Fn(&Bin) -> u64, value: impl Fn(&Bin) -> f64) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0_u64);
    for bin in pairs.bins() {
        sum += count(&bin) as f64 * value(&bin);
        total += count(&bin);
    }
    (total > 0).then(|| sum / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair_histogram::histogram_of;

    #[test]
    fn worked_example() {
        // One pair of a class at cosine .5 (squared distance 1), two of different classes at 0 and -1 (2 and 4).
        let pairs = histogram_of(&[0.5], &[0.0, -1.0]);
        assert!((alignment(&pairs).unwrap() - 1.0).abs() < 1e-4);
        let potential = ((-2.0_f64).exp() + (-4.0_f64).exp() + (-8.0_f64).exp()) / 3.0;
        assert!((uniformity(&pairs).unwrap() - potential.ln()).abs() < 2e-4);
        assert!((density(&pairs).unwrap() - 1.0 / ((2.0_f64.sqrt() + 2.0) / 2.0)).abs() < 1e-4);
        assert!(alignment(&histogram_of(&[], &[0.1])).is_none());
    }
}
