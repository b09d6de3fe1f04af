//! Which sign and color a series has, the same in every chart of a page.

use maud::{Markup, html};

use super::is_drawable;
use crate::run::Chart;

/// The number of series colors in the style sheet.
const COLORS: usize = 8;

/// The names of all series and references of a page, in order of first appearance.
pub(super) struct Palette<'a> {
    series: Vec<&'a str>,
    references: Vec<&'a str>,
}

impl<'a> Palette<'a> {
    /// Gives every name its place.
    pub(super) fn of(charts: &'a [Chart]) -> Self {
        let mut palette = Self { series: Vec::new(), references: Vec::new() };
        for chart in charts.iter().filter(|chart| is_drawable(chart)) {
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

    /// The legend, if one is needed.
    pub(super) fn legend(&self) -> Markup {
        let swatch = |line: &str, point: Markup| {
            html! { svg viewBox="0 0 28 12" aria-hidden="true" { path class=(line) d="M1 6H27" {} (point) } }
        };
        html! {
            @if self.has_choice() {
                ul.legend {
                    @for (number, name) in self.series.iter().enumerate() {
                        @let sign = Sign(number);
                        li class=(sign.class()) { (swatch("line", sign.at(14.0, 6.0, 3.4))) (name) }
                    }
                    @for name in &self.references { li { (swatch("reference", Markup::default())) (name) } }
                }
            }
        }
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
    pub(super) fn class(self) -> String {
        format!("s{}", self.0 % COLORS)
    }

    /// The point of this series at a place: disc, square, triangle or diamond, all of about the same area.
    pub(super) fn at(self, x: f64, y: f64, radius: f64) -> Markup {
        let path = match self.0 % 4 {
            0 => return html! { circle.point cx=(format_args!("{x:.1}")) cy=(format_args!("{y:.1}")) r=(radius) {} },
            1 => {
                let half = radius * 0.9;
                let (left, top, side) = (x - half, y - half, half * 2.0);
                format!("M{left:.1} {top:.1}h{side:.1}v{side:.1}h-{side:.1}z")
            }
            2 => {
                let (top, base, half) = (y - radius * 1.2, y + radius * 0.8, radius * 1.15);
                format!("M{x:.1} {top:.1}L{:.1} {base:.1}H{:.1}z", x + half, x - half)
            }
            _ => {
                let half = radius * 1.25;
                format!("M{x:.1} {:.1}l{half:.1} {half:.1}l-{half:.1} {half:.1}l-{half:.1} -{half:.1}z", y - half)
            }
        };
        html! { path.point d=(path) {} }
    }
}
