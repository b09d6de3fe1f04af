//! How similar pairs of one class are, and pairs of two, with the thresholds that part them.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::SimilarityDistribution;
use super::number::{Count, DASH, Fixed, Share};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 150.0;
const BOTTOM: f64 = 20.0;

/// Whether there are pairs of both kinds to draw.
pub(super) fn is_drawable(distribution: &SimilarityDistribution) -> bool {
    distribution.pairs.0 > 0 && distribution.pairs.1 > 0 && !distribution.histogram.is_empty()
}

pub(super) fn write(f: &mut Formatter<'_>, distributions: &[SimilarityDistribution]) -> fmt::Result {
    writeln!(
        f,
        r#"<p class="quiet note">Cosine similarity of pairs of test images. Where the two hills part, a threshold can tell "same class" from "another class". Both hills are drawn with equal area; there are far more pairs of two classes.</p>
<ul class="legend"><li><i class="swatch same"></i>same class</li><li><i class="swatch other"></i>two classes</li></ul><div class="charts">"#
    )?;
    let drawable = || distributions.iter().filter(|distribution| is_drawable(distribution));
    let range = Range::of(drawable());
    for distribution in drawable() {
        write_figure(f, distribution, range)?;
    }
    writeln!(f, "</div>")?;
    if let Some(last) = drawable().next_back() {
        write_thresholds(f, last)?;
    }
    Ok(())
}

/// The similarities that a chart covers.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// From the first to the last bar of any chart with at least a thousandth of its pairs, to whole tenths.
    fn of<'a>(distributions: impl Iterator<Item = &'a SimilarityDistribution>) -> Self {
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

fn write_figure(f: &mut Formatter<'_>, distribution: &SimilarityDistribution, range: Range) -> fmt::Result {
    let (same, other) = distribution.pairs;
    let share = |count: u64, all: u64| count as f64 / all as f64;
    let tallest = distribution.histogram.iter().map(|bar| share(bar.0, same).max(share(bar.1, other)));
    let tallest = tallest.fold(f64::MIN_POSITIVE, f64::max);
    let auc = distribution.area_under_roc.map_or_else(|| DASH.to_owned(), |area| Fixed(area, 3).to_string());
    writeln!(
        f,
        r#"<figure><figcaption>{0} <span class="sub">AUC {auc}</span></figcaption>
<svg class="chart hills" viewBox="0 -8 {WIDTH} {1}" role="img" aria-label="Distribution of similarities with {0}: pairs of one class and of two">"#,
        Text(&distribution.method),
        HEIGHT + BOTTOM + 8.0,
    )?;
    for (class, height) in [
        ("other", distribution.histogram.iter().map(|bar| share(bar.1, other) / tallest).collect::<Vec<f64>>()),
        ("same", distribution.histogram.iter().map(|bar| share(bar.0, same) / tallest).collect()),
    ] {
        write!(f, r#"<path class="hill {class}" d="{}"/>"#, hill(&height, range))?;
    }
    for (number, threshold) in distribution.thresholds.iter().enumerate() {
        let x = range.x(threshold.similarity);
        write!(
            f,
            r#"<path class="threshold" d="M{x:.1} 0V{HEIGHT}"/><text x="{:.1}" y="{}" class="mark">{}</text>"#,
            x + 3.0,
            6 + 12 * number,
            Share(rounded(threshold.false_match_rate)),
        )?;
    }
    write!(f, r#"<path class="base" d="M0 {HEIGHT}H{WIDTH}"/>"#)?;
    let steps = ((range.high - range.low) * 10.0).round() as usize;
    let stride = steps.div_ceil(6).max(1);
    for tick in (0..=steps).step_by(stride) {
        let value = range.low + tick as f64 / 10.0;
        let anchor = if tick == 0 {
            "start"
        } else if tick == steps {
            "end"
        } else {
            "middle"
        };
        write!(
            f,
            r#"<text x="{:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
            range.x(value),
            HEIGHT + 15.0,
            Fixed(value, 1),
        )?;
    }
    writeln!(f, "</svg></figure>")
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
            path.push_str(&format!("L{:.1} {:.1}", range.x(middle), HEIGHT * (1.0 - height)));
        }
    }
    path.push_str(&format!("L{WIDTH} {HEIGHT}Z"));
    path
}

fn write_thresholds(f: &mut Formatter<'_>, distribution: &SimilarityDistribution) -> fmt::Result {
    if distribution.thresholds.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        r#"<div class="scroll" role="region" aria-label="Thresholds" tabindex="0"><table class="facts"><caption class="vh">Thresholds of {0}</caption>
<thead><tr><th scope="col">Take as the same class from</th><th scope="col" class="n">Falsely accepted</th><th scope="col" class="n">Missed</th></tr></thead><tbody>"#,
        Text(&distribution.method),
    )?;
    for threshold in &distribution.thresholds {
        writeln!(
            f,
            r#"<tr><th scope="row">{}</th><td class="n">{}</td><td class="n">{}</td></tr>"#,
            Fixed(threshold.similarity, 3),
            Share(threshold.false_match_rate),
            Share(threshold.false_non_match_rate),
        )?;
    }
    write!(
        f,
        r#"</tbody></table></div><p class="quiet note">Of {}: {} pairs of one class, {} of two."#,
        Text(&distribution.method),
        Count(distribution.pairs.0),
        Count(distribution.pairs.1)
    )?;
    if let Some(rate) = distribution.equal_error_rate {
        write!(f, " Equal error rate {}.", Share(rate))?;
    }
    writeln!(f, " The thresholds hold for images like these and are chosen on them.</p>")
}
