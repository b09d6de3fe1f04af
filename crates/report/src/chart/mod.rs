//! Line charts as inline SVG.
//!
//! A chart is a figure with a caption, the drawing, and the same numbers as a table for those who cannot see the
//! drawing or want to copy them. Series are told apart by color, by the shape of their points and by a label at the
//! end of the line; all colors are CSS variables, so that a chart follows the theme.
//!
//! `axis` finds ranges and ticks, `palette` names and signs of series, `line` draws.

mod axis;
mod line;
mod palette;

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};

pub(super) use palette::Palette;

use self::line::Drawing;
use super::escape::Text;
use super::model::{Chart, Curve, Quantity};
use super::number::{DASH, Fixed, Significant};

/// The most rows of a table of numbers; longer curves are thinned out evenly, keeping the last row.
const TABLE_ROWS: usize = 60;

/// Whether the chart has anything to draw.
pub(super) fn is_drawable(chart: &Chart) -> bool {
    chart.curves.iter().flat_map(|curve| &curve.points).any(|&(x, y)| can_draw(x) && can_draw(y))
}

/// Writes all charts that have something to draw, with one legend for all of them.
pub(super) fn write(f: &mut Formatter<'_>, charts: &[Chart], palette: &Palette<'_>) -> fmt::Result {
    palette.write_legend(f)?;
    writeln!(f, r#"<div class="charts">"#)?;
    for chart in charts.iter().filter(|chart| is_drawable(chart)) {
        write!(f, "<figure><figcaption>{}", Text(&chart.title))?;
        if chart.quantity == Quantity::Share {
            write!(f, r#" <span class="unit">%</span>"#)?;
        }
        writeln!(f, "</figcaption>")?;
        if let Some(drawing) = Drawing::of(chart, palette) {
            drawing.write(f)?;
        }
        write_table(f, chart)?;
        writeln!(f, "</figure>")?;
    }
    writeln!(f, "</div>")
}

/// Whether a value can be placed on an axis. Beyond the range of `f32` nothing that was measured can lie, and within it
/// no difference of two values overflows.
fn can_draw(value: f64) -> bool {
    value.is_finite() && value.abs() <= f64::from(f32::MAX)
}

/// A value in the unit of the chart as text: percent with one decimal, or a number with four digits.
fn shown(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Number => Significant(value).to_string(),
        Quantity::Share => Fixed(value * 100.0, 1).to_string(),
    }
}

fn write_table(f: &mut Formatter<'_>, chart: &Chart) -> fmt::Result {
    let all: BTreeSet<Position> = chart
        .curves
        .iter()
        .flat_map(|curve| &curve.points)
        .filter(|(x, _)| can_draw(*x))
        .map(|&(x, _)| Position(x))
        .collect();
    let all: Vec<f64> = all.into_iter().map(|Position(x)| x).collect();
    let stride = all.len().div_ceil(TABLE_ROWS).max(1);
    writeln!(
        f,
        r#"<details class="numbers"><summary>Numbers</summary><div class="scroll" role="region" aria-label="Numbers of {0}" tabindex="0"><table><caption class="vh">{0}</caption>
<thead><tr><th scope="col">{1}</th>"#,
        Text(&chart.title),
        Text(&chart.x_label),
    )?;
    for curve in &chart.curves {
        write!(f, r#"<th scope="col" class="n">{}</th>"#, Text(&curve.name))?;
    }
    writeln!(f, "</tr></thead><tbody>")?;
    let last = all.len().saturating_sub(1);
    for (_, &x) in all.iter().enumerate().filter(|(row, _)| (last - row).is_multiple_of(stride)) {
        write!(f, r#"<tr><th scope="row">{}</th>"#, Significant(x))?;
        for curve in &chart.curves {
            let value = value_at(curve, x).map_or_else(|| DASH.to_owned(), |value| shown(chart.quantity, value));
            write!(f, r#"<td class="n">{value}</td>"#)?;
        }
        writeln!(f, "</tr>")?;
    }
    writeln!(f, "</tbody></table></div></details>")
}

fn value_at(curve: &Curve, x: f64) -> Option<f64> {
    curve.points.iter().find(|point| point.0.total_cmp(&x).is_eq()).map(|point| point.1)
}

/// A place on the horizontal axis, in the total order of floats.
struct Position(f64);

impl Ord for Position {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Position {}
