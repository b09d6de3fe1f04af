//! What stands behind the numbers: the data, the settings, and the commands to go on with.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::{DataFacts, NextStep, Setting};
use super::number::Count;

pub(super) fn write_data(f: &mut Formatter<'_>, data: Option<&DataFacts>) -> fmt::Result {
    let Some(data) = data else { return Ok(()) };
    if !data.source.is_empty() {
        writeln!(f, r#"<p class="source">{}</p>"#, Text(&data.source))?;
    }
    if !data.parts.is_empty() {
        writeln!(
            f,
            r#"<div class="scroll" role="region" aria-labelledby="data" tabindex="0"><table class="facts"><caption class="vh">Parts of the data set</caption>
<thead><tr><th scope="col">Part</th><th scope="col" class="n">Classes</th><th scope="col" class="n">Images</th></tr></thead><tbody>"#
        )?;
        for part in &data.parts {
            writeln!(
                f,
                r#"<tr><th scope="row">{}</th><td class="n">{}</td><td class="n">{}</td></tr>"#,
                Text(&part.name),
                count(part.classes),
                count(part.images),
            )?;
        }
        writeln!(f, "</tbody></table></div>")?;
    }
    if !data.notes.is_empty() {
        writeln!(f, r#"<ul class="notes">"#)?;
        for note in &data.notes {
            writeln!(f, "<li>{}</li>", Text(note))?;
        }
        writeln!(f, "</ul>")?;
    }
    Ok(())
}

/// Writes the settings as one block a table, tables in alphabetical order after the keys without one.
pub(super) fn write_settings(f: &mut Formatter<'_>, settings: &[Setting]) -> fmt::Result {
    let mut tables: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for setting in settings {
        let (table, key) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        tables.entry(table).or_default().push((key, &setting.value));
    }
    writeln!(f, r#"<div class="settings">"#)?;
    for (table, entries) in tables {
        writeln!(f, "<div><h3>{}</h3><dl>", Text(if table.is_empty() { "run" } else { table }))?;
        for (key, value) in entries {
            writeln!(f, "<div><dt>{}</dt><dd>{}</dd></div>", Text(key), Text(value))?;
        }
        writeln!(f, "</dl></div>")?;
    }
    writeln!(f, "</div>")
}

pub(super) fn write_next_steps(f: &mut Formatter<'_>, steps: &[NextStep]) -> fmt::Result {
    writeln!(f, r#"<ol class="steps">"#)?;
    for step in steps {
        writeln!(f, "<li><p>{}</p>", Text(&step.what))?;
        if !step.command.is_empty() {
            writeln!(
                f,
                r#"<div class="command"><pre tabindex="0"><code>{}</code></pre><button type="button" class="plain" data-copy hidden>Copy</button></div>"#,
                Text(&step.command),
            )?;
        }
        writeln!(f, "</li>")?;
    }
    writeln!(f, "</ol>")
}

fn count(number: usize) -> Count {
    Count(u64::try_from(number).unwrap_or(u64::MAX))
}
