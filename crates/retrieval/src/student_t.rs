//! Quantiles of Student's t distribution.

/// The value that `|T|` exceeds with probability `tails`, for T of Student's distribution with `freedom` degrees of freedom
/// (from 1 up), to four digits.
///
/// With `t = sqrt(freedom) tan(a)` the density becomes `cos(a)^(freedom - 1)`, up to a factor, over a finite range: it is
/// summed from the far end until the tail is reached.
pub(crate) fn two_sided_quantile(freedom: f64, tails: f64) -> f64 {
    const STEPS: usize = 1 << 14;
    // Beyond that it is the normal distribution to four digits, and its peak would fall between the steps.
    let freedom = freedom.min(1e5);
    let step = std::f64::consts::FRAC_PI_2 / STEPS as f64;
    let density = |place: usize| (place as f64 * step).cos().powf(freedom - 1.0);
    let trapezoids = (0..STEPS).rev().map(|place| (density(place) + density(place + 1)) / 2.0);
    let mut sum = 0.0;
    let areas: Vec<f64> = trapezoids
        .map(|area| {
            sum += area;
            sum
        })
        .collect();
    let wanted = tails * areas[STEPS - 1];
    let place = areas.partition_point(|area| *area < wanted).min(STEPS - 1);
    let before = if place == 0 { 0.0 } else { areas[place - 1] };
    let steps = place as f64 + (wanted - before) / (areas[place] - before);
    freedom.sqrt() * (std::f64::consts::FRAC_PI_2 - steps * step).tan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table =
            [(1.0, 0.05, 12.706), (2.0, 0.01, 9.925), (4.0, 0.05, 2.776), (9.0, 0.01, 3.250), (30.0, 0.001, 3.646)];
        for (freedom, tails, expected) in table.into_iter().chain([(1e9, 0.05, 1.960), (1e9, 0.0005, 3.481)]) {
            let found = two_sided_quantile(freedom, tails);
            assert!((found - expected).abs() < 1e-3 * expected, "t({freedom}) at {tails} is {found}, not {expected}");
        }
    }
}
