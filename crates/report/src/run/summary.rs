//! What a hurried reader sees: the title, the warnings, and how far the featured method is from the baseline.

use maud::{Markup, html};

use super::model::{MethodRole, MethodRow, Report, Warning};
use crate::frame::intro;
use crate::number::{Count, Duration, Points, Share};

pub(super) fn head(report: &Report) -> Markup {
    let baseline = find(&report.methods, MethodRole::Baseline);
    html! {
        (intro(&report.title, &report.subtitle, &report.created))
        (warnings(&report.warnings))
        @if let Some(featured) = find(&report.methods, MethodRole::Featured) { (figures(featured, baseline)) }
    }
}

/// The first row with a role.
pub(super) fn find(methods: &[MethodRow], role: MethodRole) -> Option<&MethodRow> {
    methods.iter().find(|row| row.role == role)
}

fn warnings(warnings: &[Warning]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            div.warnings role="note" aria-label="Warnings" {
                ul {
                    @for warning in warnings {
                        li {
                            strong { (warning.message) }
                            @if let Some(hint) = &warning.hint { " " span.hint { (hint) } }
                        }
                    }
                }
            }
        }
    }
}

fn figures(featured: &MethodRow, baseline: Option<&MethodRow>) -> Markup {
    html! {
        div.headline {
            p.of { (featured.method) @if let Some(baseline) = baseline { " " span { "against " (baseline.method) } } }
            dl.figures {
                (score("Recall@1", featured.recall_at_1, baseline.map(|row| row.recall_at_1)))
                (score("MAP@R", featured.map_at_r, baseline.map(|row| row.map_at_r)))
                div {
                    dt { "Trained" }
                    dd {
                        span.big { (Share(featured.trainable_share)) }
                        span.sub { (Count(featured.trainable_parameters)) " parameters" }
                    }
                }
                @if let Some(seconds) = featured.seconds {
                    div { dt { "Training time" } dd { span.big { (Duration(seconds)) } } }
                }
            }
        }
    }
}

fn score(name: &str, value: f64, before: Option<f64>) -> Markup {
    html! {
        div {
            dt { (name) }
            dd {
                span.big { (Share(value)) }
                @if let Some(before) = before.filter(|before| (value - before).is_finite()) {
                    span.sub {
                        "from " (Share(before)) ", "
                        b class=(if value >= before { "up" } else { "down" }) { (Points(value - before)) " points" }
                    }
                }
                (meter(value, before))
            }
        }
    }
}

/// A bar as long as a fraction in `[0, 1]`, with a notch where the baseline is. It repeats a number that stands next to
/// it, so it is hidden from screen readers.
pub(super) fn meter(value: f64, before: Option<f64>) -> Markup {
    let percent = |fraction: f64| format!("{:.1}%", fraction.clamp(0.0, 1.0) * 100.0);
    html! {
        @if value.is_finite() {
            span.meter aria-hidden="true" {
                i style={ "width:" (percent(value)) } {}
                @if let Some(before) = before.filter(|before| before.is_finite()) {
                    b style={ "left:" (percent(before)) } {}
                }
            }
        }
    }
}
