//! The drawing of a line chart.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::Axis;
use super::palette::{Palette, Sign};
use super::{can_draw, shown};
use crate::number::Significant;
use crate::run::{Chart, Curve, Quantity, ReferenceLine};

/// The size of the drawing in user units. It is shown at about this many pixels, three charts on a line of a desktop
/// or one on a phone, so that the text in it has the size of the text around it.
const WIDTH: f64 = 352.0;
const HEIGHT: f64 = 232.0;

/// Space above and below the plot: half a line of text, and the labels of the horizontal axis.
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// The mean advance of a character of the label font, 11 units high.
const CHARACTER: f64 = 6.2;

/// The least distance of two labels.
const LINE_HEIGHT: f64 = 13.0;

/// The radius of a point's sign.
const POINT_RADIUS: f64 = 2.4;

/// The most labels that fit next to the plot; more series than that are told apart by the legend alone.
const MAX_LABELS: usize = 13;

/// The longest label at the end of a line, in characters; the legend has the whole name.
const LABEL_CHARACTERS: usize = 14;

/// The most points a line is drawn with, nearly two a pixel. More are thinned out so that peaks stay.
const MAX_POINTS: usize = 600;

/// Lines with more points than this are drawn thin.
const DENSE_POINTS: usize = 200;

/// Curves up to this many points show each of them.
const MAX_SIGNS: usize = 30;

/// The most points of a curve that tell their value; more are too near each other to aim at.
const MAX_TIPS: usize = 120;

/// A chart with everything placed.
pub(super) struct Drawing<'a> {
    chart: &'a Chart,
    palette: &'a Palette<'a>,
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
}

impl<'a> Drawing<'a> {
    /// Places a chart; `None` if it has nothing to draw.
    pub(super) fn of(chart: &'a Chart, palette: &'a Palette<'a>) -> Option<Self> {
        let points = || {
            let all = chart.curves.iter().flat_map(|curve| curve.points.iter().copied());
            all.filter(|&(x, y)| can_draw(x) && can_draw(y))
        };
        let scale = scale(chart.quantity);
        let references = chart.references.iter().map(|reference| reference.value).filter(|value| can_draw(*value));
        let limits = matches!(chart.quantity, Quantity::Share).then_some((0.0, 100.0));
        let x = Axis::snug(points().map(|point| point.0), 5)?;
        let y = Axis::rounded(points().map(|point| point.1).chain(references).map(|y| y * scale), 4, limits)?;

        let widest_tick = y.ticks().map(|tick| y.label(tick).chars().count()).max().unwrap_or(0);
        let names = chart.curves.iter().map(|curve| &curve.name);
        let names = names.chain(chart.references.iter().map(|reference| &reference.name));
        let widest_name = names.map(|name| label(name).chars().count()).max().filter(|_| palette.has_choice());
        Some(Self {
            chart,
            palette,
            x,
            y,
            left: 8.0 + width_of(widest_tick),
            right: WIDTH - 12.0 - width_of(widest_name.unwrap_or(0)),
        })
    }

    pub(super) fn svg(&self) -> Markup {
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.described()) {
                (self.axes())
                @for value in self.references().map(|reference| reference.value) {
                    @let y = self.place_value(value);
                    path.reference d=(format_args!("M{:.1} {y:.1}H{:.1}", self.left, self.right)) {}
                }
                @for curve in &self.chart.curves { (self.curve(curve)) }
                (self.labels())
            }
        }
    }

    fn references(&self) -> impl Iterator<Item = &ReferenceLine> {
        self.chart.references.iter().filter(|reference| can_draw(reference.value))
    }

    fn axes(&self) -> Markup {
        let base = HEIGHT - BOTTOM;
        let Self { left, right, .. } = *self;
        html! {
            g.axes {
                @for tick in self.y.ticks() {
                    @let y = self.place_y(tick);
                    path d=(format_args!("M{left:.1} {y:.1}H{right:.1}")) {}
                    (text(left - 6.0, y + 3.8, Some("end"), None, &self.y.label(tick)))
                }
                @for tick in self.x.ticks() {
                    @let x = self.place_x(tick);
                    path.tick d=(format_args!("M{x:.1} {base:.1}v4")) {}
                    (text(x, base + 16.0, Some("middle"), None, &self.x.label(tick)))
                }
                path.base d=(format_args!("M{left:.1} {base:.1}H{right:.1}")) {}
                (text(f64::midpoint(left, right), HEIGHT - 5.0, Some("middle"), None, &self.chart.x_label))
            }
        }
    }

    fn curve(&self, curve: &Curve) -> Markup {
        let sign = self.palette.sign(&curve.name);
        let segments = segments(curve);
        let total: usize = segments.iter().map(Vec::len).sum();
        let radius = if total <= MAX_SIGNS { POINT_RADIUS } else { 0.0 };
        html! {
            g class=(sign.class()) {
                @for segment in &segments {
                    @let points = thinned(segment, (MAX_POINTS * segment.len() / total.max(1)).max(4));
                    @if points.len() > 1 { path.line.dense[total > DENSE_POINTS] d=(self.path(&points)) {} }
                    @let radius = if points.len() == 1 { POINT_RADIUS } else { radius };
                    @for &point in segment.iter().step_by(total.div_ceil(MAX_TIPS)) {
                        (self.point(curve, sign, point, radius))
                    }
                }
            }
        }
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.place_x(x), self.place_value(y));
        }
        path
    }

    /// One point: its sign if it has one, and around it a place to hover that tells its value.
    fn point(&self, curve: &Curve, sign: Sign, (x, y): (f64, f64), radius: f64) -> Markup {
        let (left, top) = (self.place_x(x), self.place_value(y));
        let unit = if self.chart.quantity == Quantity::Share { "\u{202f}%" } else { "" };
        html! {
            g.at {
                circle.hover cx=(format_args!("{left:.1}")) cy=(format_args!("{top:.1}")) r="7" {}
                @if radius > 0.0 { (sign.at(left, top, radius)) }
                title {
                    (curve.name) ", " (self.chart.x_label) " " (Significant(x)) ": " (shown(self.chart.quantity, y)) (unit)
                }
            }
        }
    }

    /// The names at the ends of the lines, moved apart where they would touch.
    fn labels(&self) -> Markup {
        if !self.palette.has_choice() || self.chart.curves.len() + self.chart.references.len() > MAX_LABELS {
            return Markup::default();
        }
        let mut labels: Vec<(f64, Option<String>, &str)> = Vec::new();
        for curve in &self.chart.curves {
            let end = curve.points.iter().filter(|&&(x, y)| can_draw(x) && can_draw(y));
            if let Some(&(_, y)) = end.max_by(|a, b| a.0.total_cmp(&b.0)) {
                labels.push((self.place_value(y), Some(self.palette.sign(&curve.name).class()), &curve.name));
            }
        }
        let references = self.references().map(|reference| (self.place_value(reference.value), None, &*reference.name));
        labels.extend(references);
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let places = moved_apart(&labels.iter().map(|label| label.0).collect::<Vec<_>>());
        html! {
            g.labels {
                @for ((_, class, name), y) in labels.iter().zip(places) {
                    (text(self.right + 8.0, y + 3.8, None, class.as_deref(), &label(name)))
                }
            }
        }
    }

    /// The chart in words, for those who do not see it.
    fn described(&self) -> String {
        let mut text = format!("Line chart of {} by {}.", self.chart.title, self.chart.x_label);
        for curve in &self.chart.curves {
            let points: Vec<(f64, f64)> = segments(curve).into_iter().flatten().collect();
            if let (Some(first), Some(last)) = (points.first(), points.last()) {
                let [from, to] = [first.1, last.1].map(|value| shown(self.chart.quantity, value));
                text += &format!(
                    " {}: from {from} at {} to {to} at {}.",
                    curve.name,
                    Significant(first.0),
                    Significant(last.0),
                );
            }
        }
        for reference in self.references() {
            text += &format!(" {}: {}.", reference.name, shown(self.chart.quantity, reference.value));
        }
        text
    }

    fn place_x(&self, x: f64) -> f64 {
        self.left + self.x.position(x) * (self.right - self.left)
    }

    /// The height of a value in the unit of the axis.
    fn place_y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.position(y) * (HEIGHT - BOTTOM - TOP)
    }

    /// The height of a value in the unit of the data.
    fn place_value(&self, value: f64) -> f64 {
        self.place_y(value * scale(self.chart.quantity))
    }
}

/// A text of the drawing.
fn text(x: f64, y: f64, anchor: Option<&str>, class: Option<&str>, text: &str) -> Markup {
    html! {
        text class=[class] x=(format_args!("{x:.1}")) y=(format_args!("{y:.1}")) text-anchor=[anchor] { (text) }
    }
}

/// From the unit of the data to the unit of the axis.
fn scale(quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Number => 1.0,
        Quantity::Share => 100.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a label has a few characters")]
fn width_of(characters: usize) -> f64 {
    characters as f64 * CHARACTER
}

fn label(name: &str) -> String {
    if name.chars().count() <= LABEL_CHARACTERS {
        return name.to_owned();
    }
    name.chars().take(LABEL_CHARACTERS - 1).chain(['…']).collect()
}

/// The stretches of a curve without a gap, in order.
fn segments(curve: &Curve) -> Vec<Vec<(f64, f64)>> {
    let mut points: Vec<(f64, f64)> = curve.points.iter().copied().filter(|point| can_draw(point.0)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let stretches = points.split(|point| !can_draw(point.1));
    stretches.filter(|stretch| !stretch.is_empty()).map(<[_]>::to_vec).collect()
}

/// At most about `budget` points of a stretch: both ends, and of each part in between its lowest and its highest point.
fn thinned(points: &[(f64, f64)], budget: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= budget {
        return points.to_vec();
    }
    let inner = &points[1..points.len() - 1];
    let mut kept = vec![*first];
    for part in inner.chunks(inner.len().div_ceil((budget / 2).max(1)).max(1)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        if let (Some(low), Some(high)) = (part.iter().min_by(by_value), part.iter().max_by(by_value)) {
            let (earlier, later) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            kept.push(*earlier);
            if later != earlier {
                kept.push(*later);
            }
        }
    }
    kept.push(*last);
    kept
}

/// Heights of labels that wish to be at `wanted`, which is sorted, with a line between any two and none below the plot
/// as long as they fit.
fn moved_apart(wanted: &[f64]) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for &y in wanted {
        places.push(places.last().map_or(y, |above| y.max(above + LINE_HEIGHT)));
    }
    let mut limit = HEIGHT - BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LINE_HEIGHT;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{BOTTOM, HEIGHT, LINE_HEIGHT, label, moved_apart, segments, thinned};
    use crate::run::Curve;

    #[test]
    fn a_value_that_is_not_finite_breaks_the_line() {
        let points = vec![(3.0, 1.0), (0.0, 4.0), (1.0, f64::NAN), (f64::INFINITY, 1.0), (2.0, 2.0)];
        let curve = Curve { name: String::new(), points };
        assert_eq!(segments(&curve), [vec![(0.0, 4.0)], vec![(2.0, 2.0), (3.0, 1.0)]]);
    }

    #[test]
    fn thinning_keeps_ends_and_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        points[4321].1 = 50.0;
        points[777].1 = -50.0;
        let thin = thinned(&points, 100);
        assert!(thin.len() <= 102, "{} points", thin.len());
        assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[9_999]));
        assert!(thin.contains(&(4321.0, 50.0)) && thin.contains(&(777.0, -50.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn labels_do_not_touch_and_stay_in_the_plot() {
        let bottom = HEIGHT - BOTTOM;
        let places = moved_apart(&[20.0, 21.0, 150.0, bottom - 1.0, bottom]);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 1e-9), "{places:?}");
        assert!(places.iter().all(|place| *place <= bottom));
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(label("VPTSP-G"), "VPTSP-G");
        assert_eq!(label("a name that is far too long").chars().count(), 14);
    }
}
