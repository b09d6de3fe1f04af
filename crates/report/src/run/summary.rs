//! What a hurried reader sees: the title, the warnings, and how far the featured method is from the baseline.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::{MethodRole, MethodRow, Report, Warning};
use super::number::{Count, Duration, Points, Share};

pub(super) fn write(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(f, r#"<header class="intro"><h1>{}</h1>"#, Text(&report.title))?;
    if !report.subtitle.is_empty() {
        writeln!(f, r#"<p class="lead">{}</p>"#, Text(&report.subtitle))?;
    }
    if !report.created.is_empty() {
        writeln!(f, r#"<p class="quiet">{}</p>"#, Text(&report.created))?;
    }
    writeln!(f, "</header>")?;
    write_warnings(f, &report.warnings)?;
    let baseline = find(&report.methods, MethodRole::Baseline);
    match find(&report.methods, MethodRole::Featured) {
        Some(featured) => write_figures(f, featured, baseline),
        None => Ok(()),
    }
}

/// The first row with a role.
pub(super) fn find(methods: &[MethodRow], role: MethodRole) -> Option<&MethodRow> {
    methods.iter().find(|row| row.role == role)
}

fn write_warnings(f: &mut Formatter<'_>, warnings: &[Warning]) -> fmt::Result {
    if warnings.is_empty() {
        return Ok(());
    }
    writeln!(f, r#"<div class="warnings" role="note" aria-label="Warnings"><ul>"#)?;
    for warning in warnings {
        write!(f, "<li><strong>{}</strong>", Text(&warning.message))?;
        if let Some(hint) = &warning.hint {
            write!(f, r#" <span class="hint">{}</span>"#, Text(hint))?;
        }
        writeln!(f, "</li>")?;
    }
    writeln!(f, "</ul></div>")
}

fn write_figures(f: &mut Formatter<'_>, featured: &MethodRow, baseline: Option<&MethodRow>) -> fmt::Result {
    write!(f, r#"<div class="headline"><p class="of">{}"#, Text(&featured.method))?;
    if let Some(baseline) = baseline {
        write!(f, " <span>against {}</span>", Text(&baseline.method))?;
    }
    writeln!(f, r#"</p><dl class="figures">"#)?;
    write_score(f, "Recall@1", featured.recall_at_1, baseline.map(|row| row.recall_at_1))?;
    write_score(f, "MAP@R", featured.map_at_r, baseline.map(|row| row.map_at_r))?;
    writeln!(
        f,
        r#"<div><dt>Trained</dt><dd><span class="big">{}</span><span class="sub">{} parameters</span></dd></div>"#,
        Share(featured.trainable_share),
        Count(featured.trainable_parameters),
    )?;
    if let Some(seconds) = featured.seconds {
        writeln!(f, r#"<div><dt>Training time</dt><dd><span class="big">{}</span></dd></div>"#, Duration(seconds))?;
    }
    writeln!(f, "</dl></div>")
}

fn write_score(f: &mut Formatter<'_>, name: &str, value: f64, before: Option<f64>) -> fmt::Result {
    write!(f, r#"<div><dt>{name}</dt><dd><span class="big">{}</span>"#, Share(value))?;
    if let Some(before) = before.filter(|before| (value - before).is_finite()) {
        write!(
            f,
            r#"<span class="sub">from {}, <b class="{}">{} points</b></span>"#,
            Share(before),
            if value >= before { "up" } else { "down" },
            Points(value - before),
        )?;
    }
    writeln!(f, "{}</dd></div>", Meter { value, before })
}

/// A bar of a fraction's length with a notch where the baseline stands. It repeats a number that stands beside it, so
/// it is hidden from screen readers.
pub(super) struct Meter {
    /// The fraction, in `[0, 1]`.
    pub(super) value: f64,
    /// The baseline's fraction.
    pub(super) before: Option<f64>,
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.value.is_finite() {
            return Ok(());
        }
        let percent = |fraction: f64| fraction.clamp(0.0, 1.0) * 100.0;
        write!(f, r#"<span class="meter" aria-hidden="true"><i style="width:{:.1}%"></i>"#, percent(self.value))?;
        if let Some(before) = self.before.filter(|before| before.is_finite()) {
            write!(f, r#"<b style="left:{:.1}%"></b>"#, percent(before))?;
        }
        write!(f, "</span>")
    }
}
