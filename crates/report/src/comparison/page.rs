//! A comparison as one page: the table, scores against cost, and the differences.

use maud::{Markup, html};

use super::tables::{HEADINGS, cells};
use super::{Comparison, ComparisonRow};
use crate::chart::scatter::{self, Mark};
use crate::frame::{self, Section, intro, notes, scrolling};
use crate::pictures::PictureStore;

const METRICS: [(&str, &str); 2] = [("map@r", "MAP@R"), ("recall@1", "Recall@1")];

impl Comparison {
    /// The whole comparison as one HTML document.
    #[must_use]
    pub fn to_html(&self) -> String {
        let sections = [
            Section { id: "results", heading: "Results", body: self.table() },
            Section { id: "cost", heading: "Quality against cost", body: self.plots() },
            Section { id: "differences", heading: "Differences", body: self.difference_tables() },
        ];
        let facts: Vec<String> = self.facts.iter().map(|(what, value)| format!("{what}: {value}")).collect();
        let missing: Vec<String> = self.missing.iter().map(|(run, why)| format!("Missing: {run} ({why})")).collect();
        let head = html! { (intro(&self.title, "", "")) (notes(&facts)) (notes(&missing)) };
        frame::document(&self.title, "comparison", head, &sections, &PictureStore::default())
    }

    fn table(&self) -> Markup {
        let table = html! {
            table.methods {
                caption.vh { "Quality and cost of each method" }
                thead {
                    tr { th scope="col" { "method" } @for heading in HEADINGS { th.n scope="col" { (heading) } } }
                }
                tbody {
                    @for row in &self.rows { tr { th scope="row" { (row.name) } @for cell in cells(row) { td.n { (cell) } } } }
                }
            }
        };
        html! { (scrolling("results", &table)) p.quiet.note { (self.what_scores_are()) } }
    }

    fn plots(&self) -> Markup {
        let parameters = |row: &ComparisonRow| Some(row.trainable as f64);
        let seconds = |row: &ComparisonRow| row.seconds.map(|seconds| seconds.mean);
        html! {
            div.scatters {
                @for (metric, name) in METRICS {
                    (self.plot(metric, &format!("{name} against trained parameters"), "trained parameters", parameters))
                    (self.plot(metric, &format!("{name} against time"), "seconds of training", seconds))
                }
            }
        }
    }

    fn plot(&self, metric: &str, title: &str, x_label: &str, cost: impl Fn(&ComparisonRow) -> Option<f64>) -> Markup {
        let marks = self.rows.iter().filter_map(|row| {
            let score = row.metrics.get(metric)?;
            let score = (100.0 * score.mean, score.deviation.map(|deviation| 100.0 * deviation));
            Some(Mark { name: &row.name, cost: cost(row).filter(|cost| *cost > 0.0)?, score })
        });
        let level = self.rows.first().and_then(|row| row.metrics.get(metric)).map(|score| 100.0 * score.mean);
        scatter::figure(title, x_label, &marks.collect::<Vec<_>>(), level)
    }

    fn difference_tables(&self) -> Markup {
        html! {
            @for (metric, name) in METRICS {
                h3 { (name) ", row minus column, in points" }
                div.scroll role="region" aria-label={ "Differences in " (name) } tabindex="0" {
                    table.facts {
                        caption.vh { "Differences in " (name) }
                        thead {
                            tr { th scope="col" { "row minus column" } @for row in &self.rows { th.n scope="col" { (row.name) } } }
                        }
                        tbody {
                            @for (place, row) in self.rows.iter().enumerate() {
                                tr {
                                    th scope="row" { (row.name) }
                                    @for minus in 0..self.rows.len() { (self.difference_cell(metric, place, minus)) }
                                }
                            }
                        }
                    }
                }
            }
            p.quiet.note { "Marked differences are bold. " (self.notes.join(" ")) }
        }
    }

    fn difference_cell(&self, metric: &str, row: usize, minus: usize) -> Markup {
        let difference = self.difference(metric, row, minus);
        html! {
            td.n.marked[difference.is_some_and(|(_, marked)| marked)] {
                @if let Some((mean, marked)) = difference {
                    (format_args!("{:+.1}", 100.0 * mean)) @if marked { span.vh { " (marked)" } }
                }
            }
        }
    }
}
