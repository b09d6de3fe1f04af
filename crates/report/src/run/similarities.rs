//! How similar pairs of one class are, and pairs of two, with the thresholds that part them.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::model::SimilarityDistribution;
use crate::frame::Section;
use crate::number::{Count, DASH, Fixed, Share};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 150.0;
const BOTTOM: f64 = 20.0;

/// As many times more pairs of two classes than of one are "far more".
const FAR_MORE: u64 = 5;

pub(super) fn section(distributions: &[SimilarityDistribution]) -> Option<Section> {
    let drawable: Vec<&SimilarityDistribution> = distributions.iter().filter(|one| is_drawable(one)).collect();
    let last = *drawable.last()?;
    let range = Range::of(&drawable);
    let body = html! {
        p.quiet.note {
            "Cosine similarity of pairs of test images. Where the two hills part, a threshold can tell \"same class\" from "
            "\"another class\". Both hills are drawn with equal area"
            @if drawable.iter().all(|one| one.pairs.1 > FAR_MORE * one.pairs.0) { "; there are far more pairs of two classes" }
            "."
        }
        ul.legend { li { i.swatch.same {} "same class" } li { i.swatch.other {} "two classes" } }
        div.charts { @for distribution in &drawable { (figure(distribution, range)) } }
        @if !last.thresholds.is_empty() { (thresholds(last)) }
    };
    Some(Section { id: "similarities", heading: "Thresholds", body })
}

/// Whether there are pairs of both kinds to draw.
fn is_drawable(distribution: &SimilarityDistribution) -> bool {
    distribution.pairs.0 > 0 && distribution.pairs.1 > 0 && !distribution.histogram.is_empty()
}

/// The similarities that a chart covers.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// From the first to the last bar of any chart with at least a thousandth of its pairs, to whole tenths.
    fn of(distributions: &[&SimilarityDistribution]) -> Self {
        let (mut low, mut high) = (1.0_f64, 0.0_f64);
        for distribution in distributions {
            let bars = distribution.histogram.len() as f64;
            for (bar, (same, other)) in distribution.histogram.iter().enumerate() {
                let seen = |count: u64, all: u64| count as f64 > all as f64 * 1e-3;
                if seen(*same, distribution.pairs.0) || seen(*other, distribution.pairs.1) {
                    low = low.min(2.0 * bar as f64 / bars - 1.0);
                    high = high.max(2.0 * (bar + 1) as f64 / bars - 1.0);
                }
            }
        }
        let (low, high) = ((low * 10.0).floor() / 10.0, (high * 10.0).ceil() / 10.0);
        if high > low { Self { low, high } } else { Self { low: -1.0, high: 1.0 } }
    }

    fn x(self, similarity: f64) -> f64 {
        ((similarity - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * WIDTH
    }
}

fn figure(distribution: &SimilarityDistribution, range: Range) -> Markup {
    let (same, other) = distribution.pairs;
    let share = |count: u64, all: u64| count as f64 / all as f64;
    let tallest = distribution.histogram.iter().map(|bar| share(bar.0, same).max(share(bar.1, other)));
    let tallest = tallest.fold(f64::MIN_POSITIVE, f64::max);
    let heights = |height: &dyn Fn(&(u64, u64)) -> f64| -> Vec<f64> {
        distribution.histogram.iter().map(|bar| height(bar) / tallest).collect()
    };
    let of_same = hill(&heights(&|bar| share(bar.0, same)), range);
    let of_other = hill(&heights(&|bar| share(bar.1, other)), range);
    let auc = distribution.area_under_roc.map_or_else(|| DASH.to_owned(), |area| Fixed(area, 3).to_string());
    let steps = ((range.high - range.low) * 10.0).round() as usize;
    let anchor = |tick: usize| match tick {
        0 => "start",
        last if last == steps => "end",
        _ => "middle",
    };
    html! {
        figure {
            figcaption { (distribution.method) " " span.sub { "AUC " (auc) } }
            svg.chart.hills viewBox={ "0 -8 " (WIDTH) " " (HEIGHT + BOTTOM + 8.0) } role="img"
                aria-label={ "Distribution of similarities with " (distribution.method) ": pairs of one class and of two" } {
                path.hill.other d=(of_other) {}
                path.hill.same d=(of_same) {}
                @for (number, threshold) in distribution.thresholds.iter().enumerate() {
                    @let x = range.x(threshold.similarity);
                    path.threshold d=(format_args!("M{x:.1} 0V{HEIGHT}")) {}
                    text.mark x=(format_args!("{:.1}", x + 3.0)) y=(6 + 12 * number) {
                        (Share(rounded(threshold.false_match_rate)))
                    }
                }
                path.base d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
                @for tick in (0..=steps).step_by(steps.div_ceil(6).max(1)) {
                    @let value = range.low + tick as f64 / 10.0;
                    text x=(format_args!("{:.1}", range.x(value))) y=(HEIGHT + 15.0) text-anchor=(anchor(tick)) {
                        (Fixed(value, 1))
                    }
                }
            }
        }
    }
}

/// An operating point is a step above the rate asked for; shown is the rate.
fn rounded(rate: f64) -> f64 {
    let asked = [0.001, 0.01, 0.1];
    asked.into_iter().find(|asked| (asked - rate).abs() <= asked * 0.3).unwrap_or(rate)
}

fn hill(heights: &[f64], range: Range) -> String {
    let mut path = format!("M0 {HEIGHT}");
    let bars = heights.len() as f64;
    for (bar, height) in heights.iter().enumerate() {
        let middle = 2.0 * (bar as f64 + 0.5) / bars - 1.0;
        if middle >= range.low && middle <= range.high {
            let _ = write!(path, "L{:.1} {:.1}", range.x(middle), HEIGHT * (1.0 - height));
        }
    }
    path + &format!("L{WIDTH} {HEIGHT}Z")
}

fn thresholds(distribution: &SimilarityDistribution) -> Markup {
    html! {
        div.scroll role="region" aria-label="Thresholds" tabindex="0" {
            table.facts {
                caption.vh { "Thresholds of " (distribution.method) }
                thead {
                    tr {
                        th scope="col" { "Take as the same class from" }
                        th.n scope="col" { "Falsely accepted" }
                        th.n scope="col" { "Missed" }
                    }
                }
                tbody {
                    @for threshold in &distribution.thresholds {
                        tr {
                            th scope="row" { (Fixed(threshold.similarity, 3)) }
                            td.n { (Share(threshold.false_match_rate)) }
                            td.n { (Share(threshold.false_non_match_rate)) }
                        }
                    }
                }
            }
        }
        p.quiet.note {
            "Of " (distribution.method) ": " (Count(distribution.pairs.0)) " pairs of one class, " (Count(distribution.pairs.1))
            " of two."
            @if let Some(rate) = distribution.equal_error_rate { " Equal error rate " (Share(rate)) "." }
            " The thresholds were chosen on these images and hold for similar ones."
        }
    }
}
