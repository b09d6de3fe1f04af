//! Which sign and color a series has, the same in every chart of the report.

use std::fmt::{self, Display, Formatter};

use super::is_drawable;
use crate::report::escape::Text;
use crate::report::model::Report;

/// The number of series colors in the style sheet.
const COLORS: usize = 8;

/// The names of all series and references of a report, in order of first appearance.
pub(in crate::report) struct Palette<'a> {
    series: Vec<&'a str>,
    references: Vec<&'a str>,
}

impl<'a> Palette<'a> {
    /// Gives every name its place.
    pub(in crate::report) fn of(report: &'a Report) -> Self {
        let mut palette = Self { series: Vec::new(), references: Vec::new() };
        for chart in report.charts.iter().filter(|chart| is_drawable(chart)) {
            for curve in &chart.curves {
                add_new(&mut palette.series, &curve.name);
            }
            for reference in &chart.references {
                add_new(&mut palette.references, &reference.name);
            }
        }
        palette
    }

    /// The sign of a series; names that were never added share the first one.
    pub(super) fn sign(&self, name: &str) -> Sign {
        Sign(self.series.iter().position(|known| *known == name).unwrap_or(0))
    }

    /// Whether there is more than one thing in the charts, so that names are needed.
    pub(super) fn has_choice(&self) -> bool {
        self.series.len() + self.references.len() > 1
    }

    /// Writes the legend, if one is needed.
    pub(super) fn write_legend(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.has_choice() {
            return Ok(());
        }
        writeln!(f, r#"<ul class="legend">"#)?;
        for name in &self.series {
            let sign = self.sign(name);
            writeln!(
                f,
                r#"<li class="{}"><svg viewBox="0 0 28 12" aria-hidden="true"><path class="line" d="M1 6H27"/>{}</svg>{}</li>"#,
                sign.class(),
                sign.at(14.0, 6.0, 3.4),
                Text(name),
            )?;
        }
        for name in &self.references {
            writeln!(
                f,
                r#"<li><svg viewBox="0 0 28 12" aria-hidden="true"><path class="reference" d="M1 6H27"/></svg>{}</li>"#,
                Text(name),
            )?;
        }
        writeln!(f, "</ul>")
    }
}

fn add_new<'a>(names: &mut Vec<&'a str>, name: &'a str) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The color and the point shape of a series.
#[derive(Clone, Copy)]
pub(super) struct Sign(usize);

impl Sign {
    /// The CSS class that sets the color.
    pub(super) fn class(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "s{}", self.0 % COLORS))
    }

    /// The point of this series at a place: disc, square, triangle or diamond, all of about the same area.
    pub(super) fn at(self, x: f64, y: f64, radius: f64) -> impl Display {
        fmt::from_fn(move |f| match self.0 % 4 {
            0 => write!(f, r#"<circle class="point" cx="{x:.1}" cy="{y:.1}" r="{radius}"/>"#),
            1 => {
                let half = radius * 0.9;
                let (left, top, side) = (x - half, y - half, half * 2.0);
                write!(f, r#"<path class="point" d="M{left:.1} {top:.1}h{side:.1}v{side:.1}h-{side:.1}z"/>"#)
            }
            2 => {
                let (top, base, half) = (y - radius * 1.2, y + radius * 0.8, radius * 1.15);
                write!(f, r#"<path class="point" d="M{x:.1} {top:.1}L{:.1} {base:.1}H{:.1}z"/>"#, x + half, x - half)
            }
            _ => {
                let half = radius * 1.25;
                write!(
                    f,
                    r#"<path class="point" d="M{x:.1} {:.1}l{half:.1} {half:.1}l-{half:.1} {half:.1}l-{half:.1} -{half:.1}z"/>"#,
                    y - half,
                )
            }
        })
    }
}
