//! Numbers as text: percentages, counts, durations. What is not finite becomes a dash.

use std::fmt::{self, Display, Formatter};

/// Stands for a number that is missing or not finite.
pub(crate) const DASH: &str = "–";

/// A narrow space that does not break, between a number and its unit.
const THIN: char = '\u{202f}';

/// Displays a fraction in percent without the sign, one decimal: `0.8794` as `87.9`.
pub(crate) struct Percent(pub(crate) f64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Fixed(self.0 * 100.0, 1).fmt(f)
    }
}

/// Displays a difference of fractions in points with its sign: `+26.7`.
pub(crate) struct Points(pub(crate) f64);

impl Display for Points {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 1000.0).round();
        if tenths > 0.0 && tenths.is_finite() {
            f.write_str("+")?;
        }
        Fixed(tenths / 10.0, 1).fmt(f)
    }
}

/// Displays a small fraction in percent with the sign, with as many decimals as it takes to see it: `2.1 %`, `0.03 %`.
pub(crate) struct Share(pub(crate) f64);

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        if !percent.is_finite() {
            return f.write_str(DASH);
        }
        match percent.abs() {
            0.0 => write!(f, "0{THIN}%"),
            size if size < 0.01 => write!(f, "below 0.01{THIN}%"),
            size if size < 0.1 => write!(f, "{}{THIN}%", Fixed(percent, 2)),
            size if size < 99.95 => write!(f, "{}{THIN}%", Fixed(percent, 1)),
            _ => write!(f, "{}{THIN}%", Fixed(percent, 0)),
        }
    }
}

/// Displays a number with the given decimals, a true minus sign and no negative zero.
pub(crate) struct Fixed(pub(crate) f64, pub(crate) usize);

impl Display for Fixed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(value, decimals) = *self;
        if !value.is_finite() {
            return f.write_str(DASH);
        }
        let digits = format!("{:.decimals$}", value.abs());
        let is_zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if value < 0.0 && !is_zero {
            f.write_str("−")?;
        }
        f.write_str(&digits)
    }
}

/// Displays a count in groups of three digits: `118,272`.
pub struct Count(pub u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Displays seconds as a duration: `0.42 s`, `34 s`, `1 min 48 s`, `2 h 05 min`.
pub(crate) struct Duration(pub(crate) f64);

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        if !seconds.is_finite() || seconds < 0.0 {
            return f.write_str(DASH);
        }
        if seconds < 9.95 {
            return write!(f, "{}{THIN}s", Fixed(seconds, if seconds < 0.995 { 2 } else { 1 }));
        }
        let whole = seconds.round();
        let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
        if minutes < 1.0 {
            return write!(f, "{rest}{THIN}s");
        }
        if minutes < 60.0 {
            return write!(f, "{minutes}{THIN}min {rest:02}{THIN}s");
        }
        let minutes = (seconds / 60.0).round();
        write!(f, "{}{THIN}h {:02}{THIN}min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

/// Displays a measured value with about four significant digits, whole numbers as they are: `0.0123`, `12.35`, `40`.
pub(crate) struct Significant(pub(crate) f64);

impl Display for Significant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() {
            return f.write_str(DASH);
        }
        match value.abs() {
            size if size < 1e9 && size.fract() == 0.0 => Fixed(value, 0).fmt(f),
            size if !(1e-4..1e6).contains(&size) => f.write_str(&format!("{value:.3e}").replace('-', "−")),
            size if size >= 1000.0 => Fixed(value, 0).fmt(f),
            size if size >= 100.0 => Fixed(value, 1).fmt(f),
            size if size >= 10.0 => Fixed(value, 2).fmt(f),
            size if size >= 1.0 => Fixed(value, 3).fmt(f),
            _ => Fixed(value, 4).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, DASH, Duration, Fixed, Percent, Points, Share, Significant};

    fn check(shown: impl ToString, expected: &str) {
        assert_eq!(shown.to_string().replace('\u{202f}', " "), expected);
    }

    #[test]
    fn what_is_not_finite_is_a_dash() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check(Percent(value), DASH);
            check(Points(value), DASH);
            check(Share(value), DASH);
            check(Fixed(value, 2), DASH);
            check(Duration(value), DASH);
            check(Significant(value), DASH);
        }
        check(Duration(-1.0), DASH);
    }

    #[test]
    fn fractions() {
        check(Percent(0.8794), "87.9");
        check(Percent(1.0), "100.0");
        check(Points(0.267), "+26.7");
        check(Points(-0.0312), "−3.1");
        check(Points(-0.0001), "0.0");
        check(Share(0.0), "0 %");
        check(Share(0.00001), "below 0.01 %");
        check(Share(0.0003), "0.03 %");
        check(Share(0.0213), "2.1 %");
        check(Share(1.0), "100 %");
    }

    #[test]
    fn counts_are_grouped() {
        for (count, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            check(Count(count), expected);
        }
    }

    #[test]
    fn durations_carry_over() {
        for (seconds, expected) in [
            (0.0, "0.00 s"),
            (0.42, "0.42 s"),
            (9.94, "9.9 s"),
            (33.6, "34 s"),
            (59.7, "1 min 00 s"),
            (108.2, "1 min 48 s"),
            (3599.6, "1 h 00 min"),
            (7500.0, "2 h 05 min"),
        ] {
            check(Duration(seconds), expected);
        }
    }

    #[test]
    fn significant_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (12.3456, "12.35"),
            (12.0, "12"),
            (2_000_000.0, "2000000"),
            (4321.7, "4322"),
            (1.2346e9, "1.235e9"),
            (-2.5e-7, "−2.500e−7"),
        ] {
            check(Significant(value), expected);
        }
    }
}
