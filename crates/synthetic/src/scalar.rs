//! Scalar functions of the inner loops. The library versions of floor, hypot and atan2 are calls that
//! handle every infinity and rounding mode; a picture needs neither, and drawing is twice as fast.

use std::f32::consts::{FRAC_PI_2, PI};

/// The largest integer at most `v`, for `v` within the range of `i32`.
pub(super) fn floor(v: f32) -> f32 {
    split(v).0 as f32
}

/// [`floor`] as an integer, and what is left of `v`, 0 to 1.
pub(super) fn split(v: f32) -> (i32, f32) {
    let cut = v as i32;
    let whole = cut - i32::from(v < cut as f32);
    (whole, v - whole as f32)
}

/// Length of the vector (x, y).
pub(super) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// The angle of the vector (x, y), like `atan2`, within 2e-4 radians.
pub(super) fn angle(y: f32, x: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let t = ax.min(ay) / ax.max(ay).max(1e-20);
    // Minimax polynomial of atan on [0, 1] (Abramowitz and Stegun 4.4.47).
    let s = t * t;
    let a = t * (0.999_866 + s * (-0.330_299_5 + s * (0.180_141 + s * (-0.085_133 + s * 0.020_835_1))));
    let a = if ay > ax { FRAC_PI_2 - a } else { a };
    let a = if x < 0.0 { PI - a } else { a };
    if y < 0.0 { -a } else { a }
}

/// 0 at or below `from`, 1 at or above `to`, smooth between; falls instead where `to < from`.
pub(super) fn smoothstep(from: f32, to: f32, v: f32) -> f32 {
    ease(((v - from) / (to - from)).clamp(0.0, 1.0))
}

/// Hermite step of `t` in `[0, 1]`.
pub(super) fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_and_angle_agree_with_the_library() {
        for i in -300..300 {
            let v = i as f32 * 0.173;
            assert_eq!(floor(v), v.floor());
            for j in -20..20 {
                let w = j as f32 * 0.31;
                if v != 0.0 || w != 0.0 {
                    assert!((angle(v, w) - v.atan2(w)).abs() < 2e-4, "atan2({v}, {w})");
                }
            }
        }
    }
}
