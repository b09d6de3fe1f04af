//! The table of results: one row a method, its quality first, then what it cost.

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::{MethodRole, MethodRow};
use super::number::{Count, DASH, Duration, Percent, Points, Share};
use super::summary::{Meter, find};

pub(super) fn write(f: &mut Formatter<'_>, methods: &[MethodRow]) -> fmt::Result {
    let columns = ScoreColumn::of(methods);
    let baseline = find(methods, MethodRole::Baseline);
    writeln!(
        f,
        r#"<div class="scroll" role="region" aria-labelledby="results" tabindex="0"><table class="methods">
<caption class="vh">Retrieval quality and cost of each method</caption>
<thead><tr><th scope="col">Method</th>"#
    )?;
    for column in &columns {
        writeln!(f, r#"<th scope="col" class="n">{} <span class="unit">%</span></th>"#, column.name())?;
    }
    writeln!(
        f,
        r#"<th scope="col" class="n">Trained parameters</th><th scope="col" class="n">Share</th><th scope="col" class="n">Time</th></tr></thead>
<tbody>"#
    )?;
    for row in methods {
        write_row(f, row, &columns, methods, baseline)?;
    }
    writeln!(f, "</tbody></table></div>")?;
    writeln!(
        f,
        r#"<p class="quiet note"><b>Recall@k</b>: the share of queries with an image of their own class among the k nearest. <b>MAP@R</b>: the average precision over the first R answers, where R is how many images of the class there are to find; it asks for all of them, and for the right ones first.{}{}</p>"#,
        if methods.iter().any(|row| row.recall_at_1_interval.is_some()) {
            " The small figures are 95 % bootstrap intervals over classes: how far the result would move with other classes."
        } else {
            ""
        },
        if baseline.is_some() && methods.len() > 1 { " The notch in a bar is the baseline." } else { "" },
    )
}

fn write_row(
    f: &mut Formatter<'_>,
    row: &MethodRow,
    columns: &[ScoreColumn],
    methods: &[MethodRow],
    baseline: Option<&MethodRow>,
) -> fmt::Result {
    let class = match row.role {
        MethodRole::Baseline => "baseline",
        MethodRole::Compared => "compared",
        MethodRole::Featured => "featured",
    };
    write!(f, r#"<tr class="{class}"><th scope="row"><span class="name">{}</span>"#, Text(&row.method))?;
    if !row.note.is_empty() {
        write!(f, r#"<span class="sub">{}</span>"#, Text(&row.note))?;
    }
    writeln!(f, "</th>")?;
    for column in columns {
        let value = column.value(row);
        let measured = methods.iter().map(|other| column.value(other)).filter(|value| value.is_finite());
        let best = methods.len() > 1 && value.is_finite() && measured.fold(value, f64::max) <= value;
        let before = baseline.filter(|_| row.role != MethodRole::Baseline).map(|row| column.value(row));
        write!(f, r#"<td class="n{}">{}"#, if best { " best" } else { "" }, Percent(value))?;
        if best {
            write!(f, r#"<span class="vh"> (best)</span>"#)?;
        }
        if column.is_primary() {
            write_delta(f, value, before, baseline.is_some())?;
            write!(f, "{}", Meter { value, before })?;
            if let Some((low, high)) = column.interval(row) {
                let interval = format!("{} – {}", Percent(low), Percent(high));
                write!(f, r#"<span class="interval"><span class="vh">95 % interval </span>{interval}</span>"#)?;
            }
        }
        writeln!(f, "</td>")?;
    }
    let share = if row.trainable_parameters == 0 { 0.0 } else { row.trainable_share };
    write!(f, r#"<td class="n">{}</td><td class="n">{}</td>"#, Count(row.trainable_parameters), Share(share))?;
    match row.seconds {
        Some(seconds) => write!(f, r#"<td class="n">{}</td>"#, Duration(seconds))?,
        None => write!(f, r#"<td class="n">{DASH}</td>"#)?,
    }
    writeln!(f, "</tr>")
}

/// Writes how far a value is from the baseline's. Where other rows have such a difference, a row without one keeps its
/// place, so that the values stay in line.
pub(super) fn write_delta(f: &mut Formatter<'_>, value: f64, before: Option<f64>, keep_place: bool) -> fmt::Result {
    match before.map(|before| value - before).filter(|change| change.is_finite()) {
        Some(change) => write!(f, r#"<span class="delta">{}</span>"#, Points(change)),
        None if keep_place => write!(f, r#"<span class="delta"></span>"#),
        None => Ok(()),
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
