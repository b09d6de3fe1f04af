//! The frame of the document: head, bar, the sections in reading order, and the stores at its end.

use std::fmt::{self, Display, Formatter};

use super::chart::{self, Palette};
use super::escape::Text;
use super::model::Report;
use super::pictures::PictureStore;
use super::{classes, confusion, details, explanation, map, methods, retrieval, similarities, summary};

/// Forbids the page every access to the network: what is not in the file cannot be loaded, whatever slipped into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// Displays a report as an HTML document.
pub(super) struct Page<'a>(pub(super) &'a Report);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let palette = Palette::of(report);
        let mut pictures = PictureStore::default();

        write_head(f, &report.title, "Kinsight report")?;
        let sections = Section::ALL.into_iter().filter(|section| section.has_data(report));
        write_bar(f, sections.map(|section| (section.id(), section.heading())))?;
        writeln!(f, r#"<main id="main">"#)?;
        summary::write(f, report)?;
        for section in Section::ALL.into_iter().filter(|section| section.has_data(report)) {
            writeln!(f, r#"<section aria-labelledby="{}"><h2 id="{0}">{}</h2>"#, section.id(), section.heading())?;
            match section {
                Section::Results => methods::write(f, &report.methods)?,
                Section::Curves => chart::write(f, &report.charts, &palette)?,
                Section::Retrieval => retrieval::write(f, report.retrieval.as_ref(), &mut pictures)?,
                Section::Explanations => explanation::write(f, &report.explanations, &mut pictures)?,
                Section::Map => map::write(f, report.map.as_ref())?,
                Section::Similarities => similarities::write(f, &report.similarities)?,
                Section::Confusion => confusion::write(f, report.confusion.as_ref(), &mut pictures)?,
                Section::Classes => classes::write(f, report.classes.as_ref(), &mut pictures)?,
                Section::Data => details::write_data(f, report.data.as_ref())?,
                Section::Settings => details::write_settings(f, &report.settings)?,
                Section::NextSteps => details::write_next_steps(f, &report.next_steps)?,
            }
            writeln!(f, "</section>")?;
        }
        writeln!(f, "</main>")?;
        write_end(f, &pictures)
    }
}

/// The sections below the summary.
#[derive(Clone, Copy)]
enum Section {
    Results,
    Curves,
    Retrieval,
    Explanations,
    Map,
    Classes,
    Confusion,
    Similarities,
    Data,
    Settings,
    NextSteps,
}

impl Section {
    const ALL: [Self; 11] = [
        Self::Results,
        Self::Curves,
        Self::Retrieval,
        Self::Explanations,
        Self::Map,
        Self::Classes,
        Self::Confusion,
        Self::Similarities,
        Self::NextSteps,
        Self::Data,
        Self::Settings,
    ];

    fn has_data(self, report: &Report) -> bool {
        match self {
            Self::Results => !report.methods.is_empty(),
            Self::Curves => report.charts.iter().any(chart::is_drawable),
            Self::Retrieval => report.retrieval.as_ref().is_some_and(|grid| !grid.rows.is_empty()),
            Self::Classes => {
                report.classes.as_ref().is_some_and(|classes| !classes.worst.is_empty() || !classes.best.is_empty())
            }
            Self::Explanations => !report.explanations.is_empty(),
            Self::Map => report.map.as_ref().is_some_and(|map| !map.points.is_empty()),
            Self::Confusion => report.confusion.as_ref().is_some_and(|confusion| !confusion.pairs.is_empty()),
            Self::Similarities => report.similarities.iter().any(similarities::is_drawable),
            Self::Data => report.data.is_some(),
            Self::Settings => !report.settings.is_empty(),
            Self::NextSteps => !report.next_steps.is_empty(),
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Curves => "curves",
            Self::Retrieval => "retrieval",
            Self::Explanations => "why",
            Self::Map => "map",
            Self::Classes => "classes",
            Self::Confusion => "confusion",
            Self::Similarities => "similarities",
            Self::Data => "data",
            Self::Settings => "settings",
            Self::NextSteps => "next",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Results => "Results",
            Self::Curves => "Learning curves",
            Self::Retrieval => "What it finds",
            Self::Explanations => "Why it finds them",
            Self::Map => "Map",
            Self::Classes => "Classes",
            Self::Confusion => "Confusion",
            Self::Similarities => "Thresholds",
            Self::Data => "Data",
            Self::Settings => "Settings",
            Self::NextSteps => "Next steps",
        }
    }
}

/// Writes everything up to the body, for a page of some `kind`.
pub(super) fn write_head(f: &mut Formatter<'_>, title: &str, kind: &str) -> fmt::Result {
    writeln!(
        f,
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Kinsight {version}">
<title>{title} – {kind}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>"#,
        version = env!("CARGO_PKG_VERSION"),
        title = Text(title),
        style = include_str!("style.css"),
    )
}

/// Writes the bar with a link to each section, by id and heading.
pub(super) fn write_bar<'a>(f: &mut Formatter<'_>, sections: impl Iterator<Item = (&'a str, &'a str)>) -> fmt::Result {
    writeln!(
        f,
        r##"<a class="skip" href="#main">Skip to the report</a>
<div class="bar"><div class="inner"><span class="brand">{LOGO}Kinsight</span>
<nav aria-label="Sections"><ul>"##
    )?;
    for (id, heading) in sections {
        writeln!(f, r##"<li><a href="#{id}">{heading}</a></li>"##)?;
    }
    writeln!(f, r#"</ul></nav><button type="button" id="theme" class="icon" hidden>{THEME_ICON}</button></div></div>"#)
}

/// Writes the foot of the page, the script and the pictures, and closes it.
pub(super) fn write_end(f: &mut Formatter<'_>, pictures: &PictureStore<'_>) -> fmt::Result {
    writeln!(
        f,
        r#"<footer class="end"><p>Made by Kinsight {version}. This file is complete in itself: it loads nothing from the network, so it can be kept, mailed and printed as it is.</p></footer>
{fixtures}<script>
{script}</script>"#,
        version = env!("CARGO_PKG_VERSION"),
        fixtures = include_str!("fixtures.html"),
        script = include_str!("script.js"),
    )?;
    pictures.write(f)?;
    writeln!(f, "</body>\n</html>")
}

/// Three points, two of them near each other: kin in sight.
const LOGO: &str = r#"<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><circle cx="10" cy="10" r="9" fill="none" stroke="currentColor" stroke-width="1.5"/><circle cx="8" cy="11.5" r="2.4" fill="currentColor"/><circle cx="12.8" cy="8" r="1.7" fill="currentColor"/></svg>"#;

const THEME_ICON: &str = r#"<svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7.25" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M10 2.75a7.25 7.25 0 0 1 0 14.5z" fill="currentColor"/></svg>"#;
