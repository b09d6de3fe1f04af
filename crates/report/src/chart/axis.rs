//! Ranges and round ticks.

use crate::number::{Fixed, Significant};

/// One axis: the range it covers and where it is marked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    min: f64,
    max: f64,
    step: f64,
}

impl Axis {
    /// An axis from the smallest to the largest value exactly, as horizontal axes are.
    ///
    /// `None` without a value. Values must be finite and within the range of `f32`.
    pub(super) fn snug(values: impl Iterator<Item = f64>, wanted_ticks: usize) -> Option<Self> {
        let (mut min, mut max) = extremes(values)?;
        if max - min <= min.abs().max(max.abs()) * 1e-6 {
            // A single epoch stands in the middle, between its neighbors.
            let margin = min.abs().max(max.abs()).mul_add(1e-3, 1.0);
            (min, max) = (min - margin, max + margin);
        }
        // Epochs and steps are whole numbers, and half of one is no place to mark.
        let step = round_step(max - min, wanted_ticks).max(1.0);
        let step = if max - min < 1.0 { round_step(max - min, wanted_ticks) } else { step };
        Some(Self { min, max, step })
    }

    /// An axis that begins and ends at a round value, within `limits` if there are any, as vertical axes are.
    pub(super) fn rounded(
        values: impl Iterator<Item = f64>,
        wanted_ticks: usize,
        limits: Option<(f64, f64)>,
    ) -> Option<Self> {
        let (min, max) = range(values)?;
        let step = round_step(max - min, wanted_ticks);
        let (mut low, mut high) = ((min / step).floor() * step, (max / step).ceil() * step);
        if let Some((least, most)) = limits {
            // A value outside the limits is shown where it is rather than lost.
            low = low.max(least.min(min));
            high = high.min(most.max(max));
        }
        Some(Self { min: low, max: high, step })
    }

    /// Where a value lies, 0 at the beginning of the axis and 1 at its end.
    pub(super) fn position(&self, value: f64) -> f64 {
        (value - self.min) / (self.max - self.min)
    }

    /// The places to mark.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        let first = (self.min / self.step - 1e-9).ceil();
        // The step divides the range into at most a dozen parts; the bound holds despite rounding.
        (0_u8..32)
            .map(move |index| (first + f64::from(index)) * self.step)
            .take_while(|tick| *tick <= self.max + self.step * 1e-9)
    }

    /// A tick as text, with the decimals that the step needs.
    pub(super) fn label(&self, tick: f64) -> String {
        let largest = self.min.abs().max(self.max.abs());
        if tick != 0.0 && (largest >= 1e6 || self.step < 1e-4) {
            return Significant(tick).to_string();
        }
        let decimals = (0_usize..6).find(|decimals| {
            let scaled = self.step * f64::powi(10.0, i32::try_from(*decimals).unwrap_or(0));
            (scaled - scaled.round()).abs() < 1e-6
        });
        Fixed(tick, decimals.unwrap_or(6)).to_string()
    }
}

/// The smallest and the largest value, moved apart if they are the same or too near for floats to divide.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (min, max) = extremes(values)?;
    let size = min.abs().max(max.abs());
    if max - min > size * 1e-6 {
        return Some((min, max));
    }
    let margin = if size > 1e-12 { size * 0.05 } else { 0.5 };
    Some((min - margin, max + margin))
}

/// The smallest and the largest value.
fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((min, max)) => Some((f64::min(min, value), f64::max(max, value))),
    })
}

/// A step of 1, 2 or 5 times a power of ten that divides `span` into about `wanted` parts.
fn round_step(span: f64, wanted: usize) -> f64 {
    let rough = span / f64::from(u8::try_from(wanted.max(1)).unwrap_or(u8::MAX));
    let power = f64::powf(10.0, rough.log10().floor());
    let factor = match rough / power {
        ratio if ratio < 1.5 => 1.0,
        ratio if ratio < 3.5 => 2.0,
        ratio if ratio < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

#[cfg(test)]
mod tests {
    use super::Axis;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn vertical_axes_begin_and_end_at_round_values() {
        let axis = Axis::rounded([0.41, 2.87].into_iter(), 5, None).unwrap();
        assert_eq!(labels(&axis), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        assert!((axis.position(3.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_share_never_passes_a_hundred_percent() {
        let axis = Axis::rounded([61.2, 98.0].into_iter(), 4, Some((0.0, 100.0))).unwrap();
        assert_eq!(labels(&axis), ["60", "70", "80", "90", "100"]);
    }

    #[test]
    fn values_beyond_the_limits_stay_on_the_axis() {
        let axis = Axis::rounded([-20.0, 130.0].into_iter(), 4, Some((0.0, 100.0))).unwrap();
        assert!(axis.position(-20.0) >= 0.0 && axis.position(130.0) <= 1.0, "{axis:?}");
    }

    #[test]
    fn horizontal_axes_end_with_the_data_and_mark_whole_epochs() {
        let axis = Axis::snug((0..=3).map(f64::from), 5).unwrap();
        assert_eq!(labels(&axis), ["0", "1", "2", "3"]);
        let axis = Axis::snug((1..=97).map(f64::from), 5).unwrap();
        assert_eq!(labels(&axis), ["20", "40", "60", "80"]);
        assert_eq!(axis.position(97.0), 1.0);
        let axis = Axis::snug([1.0].into_iter(), 5).unwrap();
        assert!((axis.position(1.0) - 0.5).abs() < 1e-9);
        assert!(labels(&axis).iter().all(|label| !label.contains('.')), "{:?}", labels(&axis));
    }

    #[test]
    fn no_range_is_too_narrow_or_too_wide() {
        let big = f64::from(f32::MAX);
        for values in [[0.0, 0.0], [5.0, 5.0], [1e15, 1e15 + 1.0], [-big, big], [1e-30, 2e-30], [-3.0, -3.0]] {
            for axis in [Axis::snug(values.into_iter(), 5), Axis::rounded(values.into_iter(), 5, None)] {
                let axis = axis.unwrap();
                let count = axis.ticks().count();
                assert!((1..=14).contains(&count), "{count} ticks for {values:?}");
                for value in values {
                    assert!((0.0..=1.0).contains(&axis.position(value)), "{value} in {values:?}");
                }
            }
        }
        assert_eq!(Axis::snug([].into_iter(), 5), None);
    }
}
