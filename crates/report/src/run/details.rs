//! What is behind the numbers: the data, the settings, and the commands to go on with.

use std::collections::BTreeMap;

use maud::html;

use super::model::{DataFacts, NextStep, Setting};
use crate::frame::{Section, notes, scrolling};
use crate::number::Count;

pub(super) fn data(data: &DataFacts) -> Section {
    let table = html! {
        table.facts {
            caption.vh { "Parts of the data set" }
            thead { tr { th scope="col" { "Part" } th.n scope="col" { "Classes" } th.n scope="col" { "Images" } } }
            tbody {
                @for part in &data.parts {
                    tr {
                        th scope="row" { (part.name) }
                        td.n { (Count(part.classes as u64)) }
                        td.n { (Count(part.images as u64)) }
                    }
                }
            }
        }
    };
    let body = html! {
        @if !data.source.is_empty() { p.source { (data.source) } }
        @if !data.parts.is_empty() { (scrolling("data", &table)) }
        (notes(&data.notes))
    };
    Section { id: "data", heading: "Data", body }
}

/// The settings by table, tables in alphabetical order after the keys without one.
pub(super) fn settings(settings: &[Setting]) -> Option<Section> {
    let mut tables: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for setting in settings {
        let (table, key) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        tables.entry(table).or_default().push((key, &setting.value));
    }
    let body = html! {
        div.settings {
            @for (table, entries) in tables {
                div {
                    h3 { (if table.is_empty() { "run" } else { table }) }
                    dl { @for (key, value) in entries { div { dt { (key) } dd { (value) } } } }
                }
            }
        }
    };
    (!settings.is_empty()).then_some(Section { id: "settings", heading: "Settings", body })
}

pub(super) fn next_steps(steps: &[NextStep]) -> Option<Section> {
    let body = html! {
        ol.steps {
            @for step in steps {
                li {
                    p { (step.what) }
                    @if !step.command.is_empty() {
                        div.command {
                            pre tabindex="0" { code { (step.command) } }
                            button.plain type="button" data-copy hidden { "Copy" }
                        }
                    }
                }
            }
        }
    };
    (!steps.is_empty()).then_some(Section { id: "next", heading: "Next steps", body })
}
