//! Charts as inline SVG.
//!
//! A line chart is a figure with a caption, the drawing, and the same numbers as a table for those who cannot see the
//! drawing or want to copy them. Series are told apart by color, by the shape of their points and by a label at the
//! end of the line; all colors are CSS variables, so that a chart follows the theme.
//!
//! `axis` finds ranges and ticks, `palette` names and signs of series, `line` and `scatter` draw.

mod axis;
mod line;
mod palette;
pub(crate) mod scatter;

use maud::{Markup, html};

use self::line::Drawing;
use self::palette::Palette;
use crate::frame::Section;
use crate::number::{DASH, Fixed, Significant};
use crate::run::{Chart, Curve, Quantity};

/// The most rows of a table of numbers; longer curves are thinned out evenly, keeping the last row.
const TABLE_ROWS: usize = 60;

/// All charts that have something to draw, with one legend for all of them.
pub(crate) fn section(heading: &'static str, charts: &[Chart]) -> Option<Section> {
    let palette = Palette::of(charts);
    let body = html! {
        (palette.legend())
        div.charts {
            @for chart in charts.iter().filter(|chart| is_drawable(chart)) {
                figure {
                    figcaption { (chart.title) @if chart.quantity == Quantity::Share { " " span.unit { "%" } } }
                    @if let Some(drawing) = Drawing::of(chart, &palette) { (drawing.svg()) }
                    (table(chart))
                }
            }
        }
    };
    charts.iter().any(is_drawable).then_some(Section { id: "curves", heading, body })
}

/// Whether the chart has anything to draw.
fn is_drawable(chart: &Chart) -> bool {
    chart.curves.iter().flat_map(|curve| &curve.points).any(|&(x, y)| can_draw(x) && can_draw(y))
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

fn table(chart: &Chart) -> Markup {
    let mut all: Vec<f64> = chart.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).collect();
    all.retain(|x| can_draw(*x));
    all.sort_by(f64::total_cmp);
    all.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let (last, stride) = (all.len().saturating_sub(1), all.len().div_ceil(TABLE_ROWS).max(1));
    let value_at = |curve: &Curve, x: f64| {
        let point = curve.points.iter().find(|point| point.0.total_cmp(&x).is_eq());
        point.map_or_else(|| DASH.to_owned(), |point| shown(chart.quantity, point.1))
    };
    html! {
        details.numbers {
            summary { "Numbers" }
            div.scroll role="region" aria-label={ "Numbers of " (chart.title) } tabindex="0" {
                table {
                    caption.vh { (chart.title) }
                    thead {
                        tr { th scope="col" { (chart.x_label) } @for curve in &chart.curves { th.n scope="col" { (curve.name) } } }
                    }
                    tbody {
                        @for (_, &x) in all.iter().enumerate().filter(|(row, _)| (last - row).is_multiple_of(stride)) {
                            tr {
                                th scope="row" { (Significant(x)) }
                                @for curve in &chart.curves { td.n { (value_at(curve, x)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
