//! The table of results: for each method its quality first, then what it cost.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::model::{MethodRole, MethodRow};
use super::summary::{find, meter};
use crate::frame::{Section, scrolling};
use crate::number::{Count, DASH, Duration, Percent, Points, Share};

pub(super) fn section(methods: &[MethodRow]) -> Option<Section> {
    let columns = ScoreColumn::of(methods);
    let baseline = find(methods, MethodRole::Baseline);
    let table = html! {
        table.methods {
            caption.vh { "Retrieval quality and cost of each method" }
            thead {
                tr {
                    th scope="col" { "Method" }
                    @for column in &columns { th.n scope="col" { (column.name()) " " span.unit { "%" } } }
                    th.n scope="col" { "Trained parameters" }
                    th.n scope="col" { "Share" }
                    th.n scope="col" { "Time" }
                }
            }
            tbody { @for method in methods { (row(method, &columns, methods, baseline)) } }
        }
    };
    let has_intervals = methods.iter().any(|row| columns.iter().any(|column| column.interval(row).is_some()));
    let body = html! {
        (scrolling("results", &table))
        p.quiet.note {
            b { "Recall@k" } ": the share of queries with an image of their own class among the k nearest. "
            b { "MAP@R" } ": the average precision over the first R answers, where R is how many images of the class there are to "
            "find; it asks for all of them, and for the right ones first."
            @if has_intervals {
                " The small figures are 95 % bootstrap intervals over classes: how much the result would vary with other classes."
            }
            @if baseline.is_some() && methods.len() > 1 { " The notch in a bar is the baseline." }
        }
    };
    (!methods.is_empty()).then_some(Section { id: "results", heading: "Results", body })
}

fn row(row: &MethodRow, columns: &[ScoreColumn], methods: &[MethodRow], baseline: Option<&MethodRow>) -> Markup {
    let class = match row.role {
        MethodRole::Baseline => "baseline",
        MethodRole::Compared => "compared",
        MethodRole::Featured => "featured",
    };
    html! {
        tr class=(class) {
            th scope="row" { span.name { (row.method) } @if !row.note.is_empty() { span.sub { (row.note) } } }
            @for column in columns { (cell(row, column, methods, baseline)) }
            td.n { (Count(row.trainable_parameters)) }
            td.n { (Share(if row.trainable_parameters == 0 { 0.0 } else { row.trainable_share })) }
            td.n { @match row.seconds { Some(seconds) => { (Duration(seconds)) } None => { (DASH) } } }
        }
    }
}

fn cell(row: &MethodRow, column: &ScoreColumn, methods: &[MethodRow], baseline: Option<&MethodRow>) -> Markup {
    let value = column.value(row);
    let measured = methods.iter().map(|other| column.value(other)).filter(|value| value.is_finite());
    let is_best = methods.len() > 1 && value.is_finite() && measured.fold(value, f64::max) <= value;
    let before = baseline.filter(|_| row.role != MethodRole::Baseline).map(|row| column.value(row));
    html! {
        td.n.best[is_best] {
            (Percent(value))
            @if is_best { span.vh { " (best)" } }
            @if column.is_primary() {
                (delta(value, before, baseline.is_some()))
                (meter(value, before))
                @if let Some((low, high)) = column.interval(row) {
                    span.interval { span.vh { "95 % interval " } (Percent(low)) " – " (Percent(high)) }
                }
            }
        }
    }
}

/// How far a value is from the baseline's. Where other rows have such a difference, a row without one keeps its place,
/// so that the values stay in line.
pub(super) fn delta(value: f64, before: Option<f64>, keep_place: bool) -> Markup {
    let change = before.map(|before| value - before).filter(|change| change.is_finite());
    html! {
        @if change.is_some() || keep_place { span.delta { @if let Some(change) = change { (Points(change)) } } }
    }
}

/// A column of scores; the primary ones show how far each method is from the baseline.
enum ScoreColumn {
    RecallAt1,
    MapAtR,
    RecallAt(usize),
}

impl ScoreColumn {
    fn of(methods: &[MethodRow]) -> Vec<Self> {
        let further: BTreeSet<usize> = methods.iter().flat_map(|row| row.recall_at.keys().copied()).collect();
        let further = further.into_iter().filter(|&k| k != 1).map(Self::RecallAt);
        [Self::RecallAt1, Self::MapAtR].into_iter().chain(further).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::RecallAt1 => "Recall@1".to_owned(),
            Self::MapAtR => "MAP@R".to_owned(),
            Self::RecallAt(k) => format!("R@{k}"),
        }
    }

    fn value(&self, row: &MethodRow) -> f64 {
        match self {
            Self::RecallAt1 => row.recall_at_1,
            Self::MapAtR => row.map_at_r,
            Self::RecallAt(k) => row.recall_at.get(k).copied().unwrap_or(f64::NAN),
        }
    }

    fn interval(&self, row: &MethodRow) -> Option<(f64, f64)> {
        let interval = match self {
            Self::RecallAt1 => row.recall_at_1_interval,
            Self::MapAtR => row.map_at_r_interval,
            Self::RecallAt(_) => None,
        };
        interval.filter(|(low, high)| low.is_finite() && high.is_finite())
    }

    fn is_primary(&self) -> bool {
        matches!(self, Self::RecallAt1 | Self::MapAtR)
    }
}
