//! A comparison as Markdown and as CSV.

use std::fmt::Write;

use super::{Comparison, ComparisonRow, MeanDeviation};
use crate::number::Count;

/// Metrics that have a column, with their headings.
const COLUMNS: [(&str, &str); 4] = [("recall@1", "R@1"), ("recall@2", "R@2"), ("recall@4", "R@4"), ("map@r", "MAP@R")];

/// `94.3 ± 0.4`, in percent.
fn percent(value: Option<&MeanDeviation>) -> String {
    match value {
        None => "-".into(),
        Some(MeanDeviation { mean, deviation: None }) => format!("{:.1}", 100.0 * mean),
        Some(MeanDeviation { mean, deviation: Some(deviation) }) => {
            format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation)
        }
    }
}

fn plain(value: Option<&MeanDeviation>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{:.digits$}", value.mean))
}

fn memory(row: &ComparisonRow) -> String {
    row.peak_memory_bytes.map_or_else(|| "-".into(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6))
}

/// The cells of a row behind its name.
pub(super) fn cells(row: &ComparisonRow) -> Vec<String> {
    let mut cells: Vec<String> = COLUMNS.iter().map(|(metric, _)| percent(row.metrics.get(*metric))).collect();
    cells.push(Count(row.trainable as u64).to_string());
    cells.push(if row.trainable == 0 { "-".into() } else { format!("{:.2} %", 100.0 * row.trainable_share) });
    cells.push(plain(row.images_per_second.as_ref(), 1));
    cells.push(plain(row.seconds.as_ref(), 0));
    cells.push(memory(row));
    cells.push(if row.seeds == 0 { "-".into() } else { row.seeds.to_string() });
    cells
}

/// Headings of [`cells`].
pub(super) const HEADINGS: [&str; 10] =
    ["R@1", "R@2", "R@4", "MAP@R", "trained", "share", "images/s", "seconds", "peak memory", "seeds"];

impl Comparison {
    /// The whole comparison as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let escape = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let mut text = format!("# {}\n\n", escape(&self.title));
        for (what, value) in &self.facts {
            let _ = writeln!(text, "- {}: {}", escape(what), escape(value));
        }
        let _ = writeln!(text, "\n| method | {} |", HEADINGS.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(HEADINGS.len()));
        for row in &self.rows {
            let _ = writeln!(text, "| {} | {} |", escape(&row.name), cells(row).join(" | "));
        }
        let _ = writeln!(text, "\n{}", self.what_scores_are());
        for (metric, heading) in [("map@r", "MAP@R"), ("recall@1", "R@1")] {
            let names: Vec<String> = self.rows.iter().map(|row| escape(&row.name)).collect();
            let _ = writeln!(text, "\n## Differences in {heading}\n\n| row minus column | {} |", names.join(" | "));
            let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
            for (row, name) in names.iter().enumerate() {
                let cell = |minus: usize| match self.difference(metric, row, minus) {
                    Some((mean, marked)) => format!("{:+.1}{}", 100.0 * mean, if marked { " *" } else { "" }),
                    None => String::new(),
                };
                let cells: Vec<String> = (0..names.len()).map(cell).collect();
                let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
            }
        }
        let _ = writeln!(text, "\n{}", escape(&self.notes.join(" ")));
        for (run, reason) in &self.missing {
            let _ = writeln!(text, "\nMissing: {} ({})", escape(run), escape(reason));
        }
        text
    }

    /// As CSV, one line for each row: means and deviations as fractions.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let mut text = "method,seeds".to_string();
        for (metric, _) in COLUMNS {
            let _ = write!(text, ",{metric},{metric} deviation");
        }
        text.push_str(",trained parameters,share,images per second,seconds,peak memory bytes\n");
        for row in &self.rows {
            let _ = write!(text, "{},{}", quoted(&row.name), row.seeds);
            for (metric, _) in COLUMNS {
                let value = row.metrics.get(metric);
                let deviation = value.and_then(|value| value.deviation);
                let _ = write!(text, ",{},{}", number(value.map(|value| value.mean)), number(deviation));
            }
            let _ = writeln!(
                text,
                ",{},{},{},{},{}",
                row.trainable,
                row.trainable_share,
                number(row.images_per_second.map(|value| value.mean)),
                number(row.seconds.map(|value| value.mean)),
                row.peak_memory_bytes.map_or_else(String::new, |bytes| bytes.to_string())
            );
        }
        text
    }
}
