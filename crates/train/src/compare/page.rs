//! A comparison as one self-contained page: the table, and accuracy against trained parameters and against time.

use std::fmt::Write;

use super::figures::{Comparison, ComparisonRow};
use super::tables::{HEADINGS, cells};
use crate::report::escape::Text;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 380.0;
/// Room for axes: left, right, top, bottom.
const MARGIN: [f64; 4] = [52.0, 150.0, 16.0, 44.0];

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #d5dae3; --page: #fff; --dot: #2f6fde; --base: #b4541a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #9aa4b5; --line: #39414f; --page: #14181f; --dot: #7aa7ff; --base: #f0a36b; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.marked { font-weight: 600; }
figure { margin: 1.5rem 0; display: inline-block; }
figcaption { font-weight: 600; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .tick { fill: var(--soft); }
svg line { stroke: var(--line); } svg circle { fill: var(--dot); } svg circle.base { fill: var(--base); }
svg .bar { stroke: var(--dot); }
p.note { color: var(--soft); }
";

/// The page.
pub(super) fn html(comparison: &Comparison) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{0}</title><style>{STYLE}</style></head>\n<body><h1>{0}</h1>\n<ul>",
        Text(&comparison.title)
    );
    for (what, value) in &comparison.facts {
        let _ = write!(page, "<li>{}: {}</li>", Text(what), Text(value));
    }
    page.push_str("</ul>\n");
    write_table(&mut page, comparison);
    for (metric, name) in [("map@r", "MAP@R"), ("recall@1", "Recall@1")] {
        let parameters = |row: &ComparisonRow| Some(row.trainable as f64).filter(|count| *count > 0.0);
        let seconds = |row: &ComparisonRow| row.seconds.map(|seconds| seconds.mean).filter(|value| *value > 0.0);
        scatter(
            &mut page,
            comparison,
            metric,
            &format!("{name} against trained parameters"),
            "trained parameters",
            parameters,
        );
        scatter(&mut page, comparison, metric, &format!("{name} against time"), "seconds of training", seconds);
    }
    for (metric, name) in [("map@r", "MAP@R"), ("recall@1", "Recall@1")] {
        write_differences(&mut page, comparison, metric, name);
    }
    let _ = writeln!(
        page,
        "<p class=\"note\">Scores in percent, mean ± standard deviation over seeds, after the last epoch. Marked differences \
         are bold. {}</p>",
        Text(&comparison.notes.join(" "))
    );
    for (run, reason) in &comparison.missing {
        let _ = writeln!(page, "<p>Missing: {} ({})</p>", Text(run), Text(reason));
    }
    page.push_str("</body></html>\n");
    page
}

fn write_table(page: &mut String, comparison: &Comparison) {
    page.push_str("<table><thead><tr><th scope=\"col\">method</th>");
    for heading in HEADINGS {
        let _ = write!(page, "<th scope=\"col\">{heading}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for row in &comparison.rows {
        let _ = write!(page, "<tr><td>{}</td>", Text(&row.name));
        for cell in cells(row) {
            let _ = write!(page, "<td>{cell}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>\n");
}

fn write_differences(page: &mut String, comparison: &Comparison, metric: &str, name: &str) {
    let _ = write!(page, "<h2>Differences in {name}</h2><table><thead><tr><th scope=\"col\">row less column</th>");
    for row in &comparison.rows {
        let _ = write!(page, "<th scope=\"col\">{}</th>", Text(&row.name));
    }
    page.push_str("</tr></thead><tbody>");
    for (place, row) in comparison.rows.iter().enumerate() {
        let _ = write!(page, "<tr><td>{}</td>", Text(&row.name));
        for minus in 0..comparison.rows.len() {
            let _ = match comparison.difference(metric, place, minus) {
                Some((mean, true)) => write!(page, "<td class=\"marked\">{:+.1}</td>", 100.0 * mean),
                Some((mean, false)) => write!(page, "<td>{:+.1}</td>", 100.0 * mean),
                None => write!(page, "<td></td>"),
            };
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>\n");
}

/// A scatter plot with a logarithmic horizontal axis; rows without a place on it are a line across.
fn scatter(
    page: &mut String,
    comparison: &Comparison,
    metric: &str,
    title: &str,
    x_label: &str,
    x_of: impl Fn(&ComparisonRow) -> Option<f64>,
) {
    let score = |row: &ComparisonRow| row.metrics.get(metric).map(|value| 100.0 * value.mean);
    let points: Vec<(&ComparisonRow, f64, f64)> =
        comparison.rows.iter().filter_map(|row| Some((row, x_of(row)?.log10(), score(row)?))).collect();
    if points.is_empty() {
        return;
    }
    let level = comparison.rows.first().and_then(score);
    let range = |values: &mut dyn Iterator<Item = f64>, least: f64| {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let middle = (low + high) / 2.0;
        let half = ((high - low) * 0.58).max(least / 2.0);
        (middle - half, middle + half)
    };
    let (x0, x1) = range(&mut points.iter().map(|point| point.1), 1.0);
    let deviation_of = |row: &ComparisonRow| Some(100.0 * row.metrics.get(metric)?.deviation?);
    let ends = points.iter().flat_map(|(row, _, y)| {
        let deviation = deviation_of(row).unwrap_or(0.0);
        [y - deviation, y + deviation]
    });
    let (y0, y1) = range(&mut ends.chain(level), 1.0);
    let [left, right, top, bottom] = MARGIN;
    let at_x = |x: f64| left + (x - x0) / (x1 - x0) * (WIDTH - left - right);
    let at_y = |y: f64| HEIGHT - bottom - (y - y0) / (y1 - y0) * (HEIGHT - top - bottom);
    let _ = write!(
        page,
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" \
         aria-label=\"{title}; the numbers are in the table above\">"
    );
    let (x_axis, y_axis) = (HEIGHT - bottom, WIDTH - right);
    let _ = write!(page, "<line x1=\"{left}\" x2=\"{y_axis}\" y1=\"{x_axis}\" y2=\"{x_axis}\"/>");
    let _ = write!(page, "<line x1=\"{left}\" x2=\"{left}\" y1=\"{top}\" y2=\"{x_axis}\"/>");
    for tick in ticks(y0, y1) {
        let y = at_y(tick);
        let _ = write!(page, "<line x1=\"{left}\" x2=\"{y_axis}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = write!(
            page,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.1}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    for tick in decades(x0, x1) {
        let _ = write!(
            page,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            at_x(tick),
            x_axis + 18.0,
            short(10f64.powf(tick))
        );
    }
    let _ = write!(
        page,
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_label}</text>",
        (left + y_axis) / 2.0,
        HEIGHT - 6.0
    );
    if let Some(level) = level {
        let y = at_y(level);
        let _ = write!(
            page,
            "<line class=\"bar\" stroke-dasharray=\"4 4\" x1=\"{left}\" x2=\"{y_axis}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
        let _ = write!(page, "<text class=\"tick\" x=\"{}\" y=\"{:.1}\">zero-shot</text>", y_axis + 4.0, y + 4.0);
    }
    for (row, x, y) in &points {
        if let Some(deviation) = deviation_of(row) {
            let (high, low) = (at_y(y + deviation), at_y(y - deviation));
            let _ = write!(
                page,
                "<line class=\"bar\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{high:.1}\" y2=\"{low:.1}\"/>",
                at_x(*x)
            );
        }
        let _ = write!(
            page,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\"><title>{}</title></circle>",
            at_x(*x),
            at_y(*y),
            Text(&row.name)
        );
    }
    for (row, x, y) in spread_labels(&points, at_x, at_y) {
        let _ = write!(page, "<text x=\"{:.1}\" y=\"{y:.1}\">{}</text>", x + 8.0, Text(&row.name));
    }
    page.push_str("</svg></figure>\n");
}

/// Places of the names, moved apart where they would cover each other.
fn spread_labels<'a>(
    points: &[(&'a ComparisonRow, f64, f64)],
    at_x: impl Fn(f64) -> f64,
    at_y: impl Fn(f64) -> f64,
) -> Vec<(&'a ComparisonRow, f64, f64)> {
    let mut labels: Vec<_> = points.iter().map(|(row, x, y)| (*row, at_x(*x), at_y(*y) + 4.0)).collect();
    labels.sort_by(|a, b| a.2.total_cmp(&b.2));
    for i in 1..labels.len() {
        for j in 0..i {
            let near = (labels[i].1 - labels[j].1).abs() < 120.0 && labels[i].2 - labels[j].2 < 13.0;
            if near && labels[i].2 > labels[j].2 - 13.0 {
                labels[i].2 = labels[j].2 + 13.0;
            }
        }
    }
    labels
}

/// Round values within a range, about five of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Powers of ten, and thrice those where they are few, as logarithms.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let whole =
        (low.floor() as i64..=high.ceil() as i64).flat_map(|power| [0.0, 3f64.log10()].map(|part| power as f64 + part));
    let all: Vec<f64> = whole.filter(|tick| (low..=high).contains(tick)).collect();
    if all.len() > 7 { all.into_iter().filter(|tick| tick.fract() == 0.0).collect() } else { all }
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
    use crate::compare::figures::tests::example;

    #[test]
    fn the_page_is_whole_and_names_are_text() {
        let page = html(&example());
        assert!(crate::report::wellformed::read(&page).is_ok(), "{:?}", crate::report::wellformed::read(&page));
        assert!(page.contains("VPT &lt;b&gt;") && !page.contains("VPT <b>"));
        assert!(page.contains("Recall@1 against time") && page.contains("<circle"));
        assert!(!page.contains("http"), "the page loads nothing");
    }

    #[test]
    fn bars_of_deviation_end_inside_the_plot() {
        let mut comparison = example();
        for row in &mut comparison.rows {
            row.metrics.values_mut().for_each(|value| value.deviation = Some(0.2));
        }
        let page = html(&comparison);
        let number = |line: &str, name: &str| -> f64 {
            line.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
        };
        let bars: Vec<&str> =
            page.split("<line class=\"bar\"").skip(1).map(|rest| rest.split_once("/>").unwrap().0).collect();
        let upright = bars.iter().filter(|bar| number(bar, "y1") < number(bar, "y2"));
        assert!(upright.count() > 0, "{bars:?}");
        let [_, _, top, bottom] = MARGIN;
        for bar in bars {
            assert!(number(bar, "y1") >= top && number(bar, "y2") <= HEIGHT - bottom, "{bar}");
        }
    }

    #[test]
    fn axes_have_round_ticks() {
        assert_eq!(ticks(41.0, 59.5), [45.0, 50.0, 55.0]);
        assert_eq!(short(42_048.0), "42 k");
        assert_eq!(short(1e6), "1 M");
    }
}
