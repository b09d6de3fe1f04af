//! Scatter plots: a score against a cost on a logarithmic axis.

use maud::{Markup, html};

use super::axis::Axis;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
/// Room for axes and names.
const LEFT: f64 = 44.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Names nearer than this are moved apart.
const NAME_WIDTH: f64 = 110.0;
const LINE_HEIGHT: f64 = 13.0;

/// One mark of a plot.
pub(crate) struct Mark<'a> {
    pub(crate) name: &'a str,
    /// What it cost, above zero.
    pub(crate) cost: f64,
    /// Its score in percent, and the standard deviation of that.
    pub(crate) score: (f64, Option<f64>),
}

/// A plot of `marks` with a dashed line at `level`; nothing without marks.
pub(crate) fn figure(title: &str, x_label: &str, marks: &[Mark<'_>], level: Option<f64>) -> Markup {
    let ends = marks.iter().flat_map(|mark| {
        let deviation = mark.score.1.unwrap_or(0.0);
        [mark.score.0 - deviation, mark.score.0 + deviation]
    });
    let Some(y) = Axis::rounded(ends.chain(level), 5, Some((0.0, 100.0))).filter(|_| !marks.is_empty()) else {
        return Markup::default();
    };
    let (low, high) = cost_range(marks);
    let at_x = |cost: f64| LEFT + (cost.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let at_y = |score: f64| HEIGHT - BOTTOM - y.position(score) * (HEIGHT - TOP - BOTTOM);
    let (base, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let text = |x: f64, y: f64, anchor: &str, text: &str| {
        html! { text x=(format_args!("{x:.1}")) y=(format_args!("{y:.1}")) text-anchor=(anchor) { (text) } }
    };
    html! {
        figure {
            figcaption { (title) " " span.unit { "%" } }
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
                aria-label={ (title) "; the numbers are in the table above" } {
                g.axes {
                    @for tick in y.ticks() {
                        path d=(format_args!("M{LEFT} {0:.1}H{end}", at_y(tick))) {}
                        (text(LEFT - 6.0, at_y(tick) + 4.0, "end", &y.label(tick)))
                    }
                    path.base d=(format_args!("M{LEFT} {base}H{end}")) {}
                    @for tick in decades(low, high) {
                        @let cost = 10f64.powf(tick);
                        (text(at_x(cost), base + 16.0, "middle", &short(cost)))
                    }
                    (text(f64::midpoint(LEFT, end), HEIGHT - 6.0, "middle", x_label))
                }
                @if let Some(level) = level {
                    path.reference d=(format_args!("M{LEFT} {0:.1}H{end}", at_y(level))) {}
                    (text(end + 4.0, at_y(level) + 4.0, "start", "zero-shot"))
                }
                @for Mark { name, cost, score: (score, deviation) } in marks {
                    @if let Some(deviation) = deviation {
                        path.deviation d=(format_args!(
                            "M{:.1} {:.1}V{:.1}", at_x(*cost), at_y(score + deviation), at_y(score - deviation)
                        )) {}
                    }
                    circle.dot cx=(format_args!("{:.1}", at_x(*cost))) cy=(format_args!("{:.1}", at_y(*score))) r="4.5" {
                        title { (name) }
                    }
                }
                g.labels { @for (name, x, y) in apart(marks, at_x, at_y) { (text(x + 8.0, y, "start", name)) } }
            }
        }
    }
}

/// The logarithms between which the costs lie, at least a decade.
fn cost_range(marks: &[Mark<'_>]) -> (f64, f64) {
    let costs = marks.iter().map(|mark| mark.cost.log10());
    let (low, high) = costs.fold((f64::MAX, f64::MIN), |(low, high), cost| (low.min(cost), high.max(cost)));
    let half = ((high - low) * 0.58).max(0.5);
    (f64::midpoint(low, high) - half, f64::midpoint(low, high) + half)
}

/// Places of the names, moved apart where they would cover each other.
fn apart<'a>(marks: &[Mark<'a>], at_x: impl Fn(f64) -> f64, at_y: impl Fn(f64) -> f64) -> Vec<(&'a str, f64, f64)> {
    let place = |mark: &Mark<'a>| (mark.name, at_x(mark.cost), at_y(mark.score.0) + 4.0);
    let mut labels: Vec<(&str, f64, f64)> = marks.iter().map(place).collect();
    labels.sort_by(|a, b| a.2.total_cmp(&b.2));
    for i in 1..labels.len() {
        for j in 0..i {
            let near = (labels[i].1 - labels[j].1).abs() < NAME_WIDTH;
            if near && (labels[i].2 - labels[j].2).abs() < LINE_HEIGHT {
                labels[i].2 = labels[j].2 + LINE_HEIGHT;
            }
        }
    }
    labels
}

/// Powers of ten, and thrice those where they are few, as logarithms.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let powers = low.floor() as i64..=high.ceil() as i64;
    let all = powers.flat_map(|power| [0.0, 3f64.log10()].map(|part| power as f64 + part));
    let mut all: Vec<f64> = all.filter(|tick| (low..=high).contains(tick)).collect();
    if all.len() > 7 {
        all.retain(|tick| tick.fract() == 0.0);
    }
    all
}

fn short(value: f64) -> String {
    match value {
        v if v >= 0.95e6 => format!("{:.0} M", v / 1e6),
        v if v >= 0.95e3 => format!("{:.0} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_their_deviations_stay_inside_the_plot() {
        let marks = [
            Mark { name: "a", cost: 10.0, score: (50.0, Some(20.0)) },
            Mark { name: "b", cost: 1e5, score: (99.0, Some(0.5)) },
        ];
        let svg = figure("MAP@R against time", "seconds", &marks, Some(41.0)).into_string();
        let bars: Vec<&str> =
            svg.split("class=\"deviation\" d=\"M").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(bars.len(), 2);
        for bar in bars {
            let (_, ends) = bar.split_once(' ').unwrap();
            let (top, bottom) = ends.split_once('V').unwrap();
            let (top, bottom): (f64, f64) = (top.parse().unwrap(), bottom.parse().unwrap());
            assert!(TOP <= top && top < bottom && bottom <= HEIGHT - BOTTOM, "{bar}");
        }
        assert!(figure("", "", &[], Some(1.0)).0.is_empty());
    }

    #[test]
    fn costs_are_marked_at_round_values() {
        assert_eq!(
            decades(0.9, 2.1).iter().map(|tick| short(10f64.powf(*tick))).collect::<Vec<_>>(),
            ["10", "30", "100"]
        );
        assert_eq!((short(42_048.0), short(1e6)), ("42 k".into(), "1 M".into()));
    }
}
