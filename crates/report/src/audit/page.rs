//! The page of an audit, top to bottom.

use std::fmt::{self, Display, Formatter};

use super::model::{AuditPage, Doubt, PictureGroup, Stray};
use crate::report::Picture;
use crate::report::escape::Text;
use crate::report::number::{Count, DASH, Fixed, Percent};
use crate::report::page::{write_bar, write_end, write_head};
use crate::report::pictures::PictureStore;

/// Findings of a section shown at once; the others open on demand.
const SHOWN: usize = 12;

/// Displays an audit as an HTML document.
pub(super) struct Page<'a>(pub(super) &'a AuditPage);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let page = self.0;
        let mut pictures = PictureStore::default();
        write_head(f, &page.title, "Kinsight audit")?;
        let sections: Vec<Section> = Section::ALL.into_iter().filter(|section| section.has_data(page)).collect();
        write_bar(f, sections.iter().map(|section| (section.id(), section.heading())))?;
        writeln!(f, r#"<main id="main"><header class="intro"><h1>{}</h1>"#, Text(&page.title))?;
        writeln!(
            f,
            r#"<p class="lead">{}</p><p class="quiet">{}</p></header>"#,
            Text(&page.subtitle),
            Text(&page.created)
        )?;
        write_figures(f, page)?;
        for section in sections {
            writeln!(f, r#"<section aria-labelledby="{}"><h2 id="{0}">{}</h2>"#, section.id(), section.heading())?;
            writeln!(f, r#"<p class="quiet note">{}</p>"#, section.note())?;
            section.write(f, page, &mut pictures)?;
            writeln!(f, "</section>")?;
        }
        writeln!(f, "</main>")?;
        write_end(f, &pictures)
    }
}

fn write_figures(f: &mut Formatter<'_>, page: &AuditPage) -> fmt::Result {
    writeln!(f, r#"<div class="headline"><dl class="figures counts">"#)?;
    for figure in &page.figures {
        let tone = match (figure.count, figure.grave) {
            (0, _) => "up",
            (_, true) => "down",
            _ => "",
        };
        writeln!(
            f,
            r#"<div><dt>{}</dt><dd><span class="big {tone}">{}</span><span class="sub">{}</span></dd></div>"#,
            Linked(&figure.name, figure.section, figure.count > 0),
            count(figure.count),
            Text(&figure.note),
        )?;
    }
    writeln!(f, "</dl></div>")?;
    if !page.notes.is_empty() {
        writeln!(f, r#"<ul class="notes">"#)?;
        for note in &page.notes {
            writeln!(f, "<li>{}</li>", Text(note))?;
        }
        writeln!(f, "</ul>")?;
    }
    Ok(())
}

/// A name that leads to its section, where there is one.
struct Linked<'a>(&'a str, &'a str, bool);

impl Display for Linked<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.2 {
            true => write!(f, r##"<a href="#{}">{}</a>"##, self.1, Text(self.0)),
            false => write!(f, "{}", Text(self.0)),
        }
    }
}

#[derive(Clone, Copy)]
enum Section {
    Unreadable,
    Leaks,
    Conflicts,
    Equal,
    Near,
    Doubts,
    Strays,
    Classes,
    Sizes,
}

impl Section {
    const ALL: [Self; 9] = [
        Self::Unreadable,
        Self::Leaks,
        Self::Conflicts,
        Self::Equal,
        Self::Near,
        Self::Doubts,
        Self::Strays,
        Self::Classes,
        Self::Sizes,
    ];

    fn has_data(self, page: &AuditPage) -> bool {
        match self {
            Self::Unreadable => !page.unreadable.is_empty(),
            Self::Leaks => !page.leaks.is_empty() || !page.shared_classes.is_empty(),
            Self::Conflicts => !page.conflicts.is_empty(),
            Self::Equal => !page.equal.is_empty(),
            Self::Near => !page.near.is_empty(),
            Self::Doubts => !page.doubts.is_empty(),
            Self::Strays => !page.strays.is_empty(),
            Self::Classes => !page.classes.is_empty(),
            Self::Sizes => !page.sizes.is_empty(),
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Leaks => "leakage",
            Self::Conflicts => "conflicts",
            Self::Equal => "equal",
            Self::Near => "near",
            Self::Doubts => "labels",
            Self::Strays => "outliers",
            Self::Classes => "classes",
            Self::Sizes => "sizes",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Unreadable => "Unreadable",
            Self::Leaks => "Leakage",
            Self::Conflicts => "Conflicts",
            Self::Equal => "Same files",
            Self::Near => "Same pictures",
            Self::Doubts => "Labels",
            Self::Strays => "Outliers",
            Self::Classes => "Classes",
            Self::Sizes => "Sizes",
        }
    }

    fn note(self) -> &'static str {
        match self {
            Self::Unreadable => "Training and search skip these files. Repair, fetch again, or remove them.",
            Self::Leaks => {
                "Pictures on both sides of the split, by file or by looks: a model may know its test by heart. Keep each on one side."
            }
            Self::Conflicts => "Copies of one picture under different labels: at most one of them can be right.",
            Self::Equal => "Files with the same bytes. Keep one of each group.",
            Self::Near => {
                "Other files of the same picture: resized, recompressed, brighter or mirrored. They make a test easier than it is."
            }
            Self::Doubts => {
                "Images that lie among another class and nearer to it than to their own, surest first. A suspicion, not a verdict: look, then correct the label or leave it."
            }
            Self::Strays => "Images that resemble nothing else here, farthest first.",
            Self::Classes => {
                "Smallest first. Diversity is the mean cosine distance between images of the class: near zero means many versions of one picture."
            }
            Self::Sizes => "The shorter side of each image, in pixels.",
        }
    }

    fn write<'a>(self, f: &mut Formatter<'_>, page: &'a AuditPage, pictures: &mut PictureStore<'a>) -> fmt::Result {
        match self {
            Self::Unreadable => write_unreadable(f, page),
            Self::Leaks => {
                write_names(f, "Classes on both sides", &page.shared_classes)?;
                write_groups(f, &page.leaks, pictures)
            }
            Self::Conflicts => write_groups(f, &page.conflicts, pictures),
            Self::Equal => write_groups(f, &page.equal, pictures),
            Self::Near => write_groups(f, &page.near, pictures),
            Self::Doubts => write_doubts(f, &page.doubts, pictures),
            Self::Strays => write_strays(f, &page.strays, pictures),
            Self::Classes => write_classes(f, page),
            Self::Sizes => {
                write_sizes(f, page)?;
                write_strays(f, &page.odd_sizes, pictures)
            }
        }
    }
}

fn write_unreadable(f: &mut Formatter<'_>, page: &AuditPage) -> fmt::Result {
    writeln!(
        f,
        r#"<div class="scroll" role="region" aria-labelledby="unreadable" tabindex="0"><table><caption class="vh">Files that cannot be read</caption><thead><tr><th scope="col">File</th><th scope="col">Reason</th></tr></thead><tbody>"#
    )?;
    for failure in &page.unreadable {
        writeln!(
            f,
            r#"<tr><th scope="row" class="path">{}</th><td>{}</td></tr>"#,
            Text(&failure.path),
            Text(&failure.reason)
        )?;
    }
    writeln!(f, "</tbody></table></div>")
}

fn write_names(f: &mut Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    write!(f, r#"<p class="quiet note"><b>{what}:</b> "#)?;
    for (place, name) in names.iter().enumerate() {
        write!(f, "{}{}", if place > 0 { ", " } else { "" }, Text(name))?;
    }
    writeln!(f, "</p>")
}

/// Writes the first of `items` in a list of class `class`, and the others behind "more".
fn write_list<'a, T>(
    f: &mut Formatter<'_>,
    class: &str,
    items: &'a [T],
    pictures: &mut PictureStore<'a>,
    mut write: impl FnMut(&mut Formatter<'_>, &'a T, &mut PictureStore<'a>) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    let (shown, further) = items.split_at(items.len().min(SHOWN));
    writeln!(f, r#"<ol class="{class}">"#)?;
    for item in shown {
        write(f, item, pictures)?;
    }
    writeln!(f, "</ol>")?;
    if !further.is_empty() {
        writeln!(f, r#"<details class="more"><summary>{} more</summary><ol class="{class}">"#, further.len())?;
        for item in further {
            write(f, item, pictures)?;
        }
        writeln!(f, "</ol></details>")?;
    }
    Ok(())
}

fn write_groups<'a>(f: &mut Formatter<'_>, groups: &'a [PictureGroup], pictures: &mut PictureStore<'a>) -> fmt::Result {
    write_list(f, "groups", groups, pictures, |f, group, pictures| {
        write!(f, r#"<li><p class="sub">{}</p><div class="files">"#, Text(&group.note))?;
        for picture in &group.pictures {
            write_file(f, picture, pictures)?;
        }
        writeln!(f, "</div></li>")
    })
}

fn write_file<'a>(f: &mut Formatter<'_>, picture: &'a Picture, pictures: &mut PictureStore<'a>) -> fmt::Result {
    write!(f, "<figure>")?;
    pictures.show(f, picture)?;
    writeln!(
        f,
        r#"<figcaption><span class="name">{}</span><span class="sub path">{}</span></figcaption></figure>"#,
        Text(&picture.label),
        Text(&picture.caption),
    )
}

fn write_doubts<'a>(f: &mut Formatter<'_>, doubts: &'a [Doubt], pictures: &mut PictureStore<'a>) -> fmt::Result {
    write_list(f, "doubts", doubts, pictures, |f, doubt, pictures| {
        write!(f, "<li>")?;
        pictures.show(f, &doubt.picture)?;
        write!(
            f,
            r#"<div class="what"><p><span class="wrong name">{}</span> <span class="sub">or rather</span> <span class="right name">{}</span></p><p class="sub path">{}</p><div class="nearest">"#,
            Text(&doubt.picture.label),
            Text(&doubt.suggested),
            Text(&doubt.picture.caption),
        )?;
        for (picture, same) in &doubt.neighbors {
            write!(
                f,
                r#"<span class="near {}" title="{}">"#,
                if *same { "wrong" } else { "right" },
                Text(&picture.label)
            )?;
            pictures.show(f, picture)?;
            write!(f, "</span>")?;
        }
        writeln!(
            f,
            r#"</div><p class="sub">{} % of its neighbors say so; score {}</p></div></li>"#,
            Percent(doubt.vote),
            Fixed(doubt.score, 2),
        )
    })
}

fn write_strays<'a>(f: &mut Formatter<'_>, strays: &'a [Stray], pictures: &mut PictureStore<'a>) -> fmt::Result {
    write_list(f, "strays", strays, pictures, |f, stray, pictures| {
        write!(f, "<li>")?;
        write_file(f, &stray.picture, pictures)?;
        writeln!(f, r#"<p class="sub">{}</p></li>"#, Text(&stray.note))
    })
}

fn write_classes(f: &mut Formatter<'_>, page: &AuditPage) -> fmt::Result {
    write_names(f, "Without an image", &page.empty_classes)?;
    let largest = page.classes.iter().map(|class| class.images).max().unwrap_or(1).max(1);
    writeln!(
        f,
        r#"<div class="scroll tall" role="region" aria-labelledby="classes" tabindex="0"><table class="sizes"><caption class="vh">Classes by size</caption><thead><tr><th scope="col">Class</th><th scope="col" class="n">Images</th><th scope="col"><span class="vh">Share of the largest</span></th><th scope="col" class="n">Diversity</th><th scope="col" class="n">In doubt</th></tr></thead><tbody>"#
    )?;
    for class in &page.classes {
        writeln!(
            f,
            r#"<tr><th scope="row" class="name">{}</th><td class="n">{}</td><td class="bars">{}</td><td class="n">{}</td><td class="n">{}</td></tr>"#,
            Text(&class.name),
            count(class.images),
            Bar(class.images, largest),
            class.diversity.map_or_else(|| DASH.to_owned(), |value| Fixed(value, 2).to_string()),
            if class.doubts > 0 { class.doubts.to_string() } else { String::new() },
        )?;
    }
    writeln!(f, "</tbody></table></div>")
}

fn write_sizes(f: &mut Formatter<'_>, page: &AuditPage) -> fmt::Result {
    let largest = page.sizes.iter().map(|row| row.images).max().unwrap_or(1).max(1);
    writeln!(
        f,
        r#"<div class="scroll" role="region" aria-labelledby="sizes" tabindex="0"><table class="sizes"><caption class="vh">Images by the length of the shorter side</caption><thead><tr><th scope="col">Shorter side</th><th scope="col" class="n">Images</th><th scope="col"><span class="vh">Share of the largest</span></th></tr></thead><tbody>"#
    )?;
    for row in &page.sizes {
        writeln!(
            f,
            r#"<tr><th scope="row">{}</th><td class="n">{}</td><td class="bars">{}</td></tr>"#,
            Text(&row.range),
            count(row.images),
            Bar(row.images, largest),
        )?;
    }
    writeln!(f, "</tbody></table></div>")
}

/// A bar of a count's share of the largest.
struct Bar(usize, usize);

impl Display for Bar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, r#"<i style="width:{:.1}%"></i>"#, 100.0 * self.0 as f64 / self.1 as f64)
    }
}

fn count(number: usize) -> Count {
    Count(u64::try_from(number).unwrap_or(u64::MAX))
}
