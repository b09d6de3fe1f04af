//! Verification: are two images of the same class, yes or no, by a threshold on their similarity?
//!
//! ```text
//! FMR(t)  = share of impostor pairs (two classes) with similarity >= t     false match rate
//! FNMR(t) = share of genuine pairs (one class) with similarity < t         false non-match rate
//! EER     = the rate where both are equal
//! ```
//! Source: ISO/IEC 19795-1; Grother et al., NIST FRVT 1:1. The ROC curve draws 1 - FNMR over FMR. Rates are exact for
//! the thresholds looked at, which are 2^-15 apart.

use serde::Serialize;

use crate::pair_histogram::PairHistogram;

/// Both error rates at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Pairs at least this similar are taken for the same class.
    pub threshold: f64,
    /// False match rate, in [0, 1].
    pub fmr: f64,
    /// False non-match rate, in [0, 1].
    pub fnmr: f64,
}

/// Every operating point that differs from its neighbors, from the strictest threshold to the loosest.
///
/// Starts at "no pair matches" and ends at "every pair does". Empty where there is no genuine or no impostor pair.
pub fn roc(pairs: &PairHistogram) -> Vec<OperatingPoint> {
    let (genuine, impostor) = (pairs.genuine_pairs() as f64, pairs.impostor_pairs() as f64);
    if genuine == 0.0 || impostor == 0.0 {
        return Vec::new();
    }
    let mut points = vec![OperatingPoint { threshold: 1.0 + 1e-4, fmr: 0.0, fnmr: 1.0 }];
    let (mut matched, mut falsely) = (0, 0);
    for bin in pairs.bins().rev() {
        matched += bin.genuine;
        falsely += bin.impostor;
        let (fmr, fnmr) = (falsely as f64 / impostor, 1.0 - matched as f64 / genuine);
        points.push(OperatingPoint { threshold: bin.lower, fmr, fnmr });
    }
    points
}

/// The loosest threshold whose false match rate does not exceed `fmr`: FNMR@FMR. None without points.
pub fn fnmr_at_fmr(roc: &[OperatingPoint], fmr: f64) -> Option<OperatingPoint> {
    roc[..roc.partition_point(|point| point.fmr <= fmr)].last().copied()
}

/// Equal error rate, linear between the two points where the rates cross. None without points.
pub fn equal_error_rate(roc: &[OperatingPoint]) -> Option<f64> {
    let place = roc.partition_point(|point| point.fmr < point.fnmr);
    let (after, before) = (roc.get(place)?, roc.get(place.checked_sub(1)?)?);
    let (gap_before, gap_after) = (before.fnmr - before.fmr, after.fmr - after.fnmr);
    let share = gap_before / (gap_before + gap_after);
    Some(before.fmr + share * (after.fmr - before.fmr))
}

/// Area under the ROC curve: the chance that a genuine pair is more similar than an impostor pair. None without points.
pub fn area_under_roc(roc: &[OperatingPoint]) -> Option<f64> {
    let strip = |pair: &[OperatingPoint]| (pair[1].fmr - pair[0].fmr) * (1.0 - (pair[0].fnmr + pair[1].fnmr) / 2.0);
    (!roc.is_empty()).then(|| roc.windows(2).map(strip).sum())
}

/// The curve with at most `count` points: of neighbors that look alike when drawn, one is kept.
pub fn thinned(roc: &[OperatingPoint], count: usize) -> Vec<OperatingPoint> {
    if roc.len() <= count || count < 2 {
        return roc.to_vec();
    }
    let last = roc.len() - 1;
    // Equal steps along the curve's length, so that its steep start is kept as well as its flat end.
    let length = |a: &OperatingPoint, b: &OperatingPoint| (b.fmr - a.fmr) + (a.fnmr - b.fnmr);
    let step = 2.0 / (count - 1) as f64;
    let mut kept = vec![roc[0]];
    for point in &roc[1..last] {
        if kept.len() < count - 1 && length(&kept[kept.len() - 1], point) >= step {
            kept.push(*point);
        }
    }
    kept.push(roc[last]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair_histogram::histogram_of;

    #[test]
    fn worked_example() {
        // Genuine .9 .8 .3, impostor .7 .2 .1 0: at .3 three of three match, one of four falsely.
        let roc = roc(&histogram_of(&[0.9, 0.8, 0.3], &[0.7, 0.2, 0.1, 0.0]));
        let strict = fnmr_at_fmr(&roc, 0.2).unwrap();
        assert_eq!(strict.fmr, 0.0);
        assert!((strict.fnmr - 1.0 / 3.0).abs() < 1e-12 && (strict.threshold - 0.8).abs() < 1e-4);
        let loose = fnmr_at_fmr(&roc, 0.25).unwrap();
        assert!(loose.fnmr.abs() < 1e-12 && (loose.threshold - 0.3).abs() < 1e-4);
        // 11 of the 12 pairs of pairs are in order.
        assert!((area_under_roc(&roc).unwrap() - 11.0 / 12.0).abs() < 1e-12);
        // From (.25, 1/3) to (.25, 0) the rates cross at FMR .25.
        assert!((equal_error_rate(&roc).unwrap() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn perfect_separation_and_none_to_judge() {
        let separated = roc(&histogram_of(&[0.9], &[0.1]));
        assert_eq!(equal_error_rate(&separated), Some(0.0));
        assert_eq!(area_under_roc(&separated), Some(1.0));
        assert_eq!(fnmr_at_fmr(&separated, 0.0).map(|point| point.fnmr), Some(0.0));
        let nothing = roc(&histogram_of(&[0.9], &[]));
        assert!(nothing.is_empty());
        assert!(equal_error_rate(&nothing).is_none() && area_under_roc(&nothing).is_none());
        assert!(fnmr_at_fmr(&nothing, 0.1).is_none());
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends() {
        let genuine: Vec<f32> = (0..500).map(|i| i as f32 / 500.0).collect();
        let impostor: Vec<f32> = (0..500).map(|i| i as f32 / 500.0 - 0.4).collect();
        let full = roc(&histogram_of(&genuine, &impostor));
        let few = thinned(&full, 50);
        assert!(few.len() <= 50 && few.len() > 25);
        assert_eq!((few[0], few[few.len() - 1]), (full[0], full[full.len() - 1]));
    }
}
