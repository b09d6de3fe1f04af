//! The page of an audit, top to bottom.

use maud::{Markup, html};

use super::{AuditPage, Doubt, Figure, PictureGroup, Stray};
use crate::frame::{self, Section, intro, notes, scrolling};
use crate::number::{Count, DASH, Fixed, Percent};
use crate::pictures::{Picture, PictureStore};

/// Findings of a section shown at once; the others open on demand.
const SHOWN: usize = 12;

impl AuditPage {
    /// The whole page as one HTML document. Sections without findings are left out; figures state that they are empty.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut store = PictureStore::default();
        let pictures = &mut store;
        let sections = [
            section("unreadable", "Unreadable", UNREADABLE, unreadable(self)),
            section(
                "leakage",
                "Leakage",
                LEAKS,
                html! { (names("Classes on both sides", &self.shared_classes)) (groups(&self.leaks, pictures)) },
            ),
            section("conflicts", "Conflicts", CONFLICTS, groups(&self.conflicts, pictures)),
            section("equal", "Same files", EQUAL, groups(&self.equal, pictures)),
            section("near", "Same pictures", NEAR, groups(&self.near, pictures)),
            section("labels", "Labels", DOUBTS, doubts(&self.doubts, pictures)),
            section("outliers", "Outliers", STRAYS, strays(&self.strays, pictures)),
            section("classes", "Classes", CLASSES, classes(self)),
            section("sizes", "Sizes", SIZES, html! { (sizes(self)) (strays(&self.odd_sizes, pictures)) }),
        ];
        let sections: Vec<Section> = sections.into_iter().flatten().collect();
        let head = html! {
            (intro(&self.title, &self.subtitle, &self.created))
            div.headline { dl.figures.counts { @for one in &self.figures { (figure(one)) } } }
            (notes(&self.notes))
        };
        frame::document(&self.title, "audit", head, &sections, &store)
    }
}

const UNREADABLE: &str = "No picture can be decoded from these files, so nothing can learn from them or find them. Repair, fetch \
                          again, or remove them.";
const LEAKS: &str = "On both sides of the split, pictures by file or by looks: a model may know its test by heart. Keep each on one \
                     side.";
const CONFLICTS: &str =
    "Copies of one picture under different labels: where a picture has one class, at most one of them is right.";
const EQUAL: &str = "Files with the same bytes. Keep one of each group.";
const NEAR: &str = "Other files of the same picture: resized, recompressed, brighter or mirrored. In a test they are found too \
                    easily.";
const DOUBTS: &str = "Images that their neighbors and the centers of classes place in another class, surest first. A suspicion, \
                      not a verdict: look, then correct the label or leave it.";
const STRAYS: &str = "Images that resemble their nearest images much less than is usual here, farthest first.";
const CLASSES: &str = "Smallest first. Diversity is the mean cosine distance between images of the class: near zero it may be many \
                       versions of one picture.";
const SIZES: &str = "The shorter side of each image that can be read, in pixels.";

/// A section with a note above it, if it has anything to show.
fn section(id: &'static str, heading: &'static str, note: &str, content: Markup) -> Option<Section> {
    let body = html! { p.quiet.note { (note) } (content) };
    (!content.0.is_empty()).then_some(Section { id, heading, body })
}

fn figure(figure: &Figure) -> Markup {
    let tone = match (figure.count, figure.grave) {
        (0, _) => Some("up"),
        (_, true) => Some("down"),
        _ => None,
    };
    html! {
        div {
            dt { @if figure.count > 0 { a href={ "#" (figure.section) } { (figure.name) } } @else { (figure.name) } }
            dd { span class={ "big" @if let Some(tone) = tone { " " (tone) } } { (Count(figure.count as u64)) } span.sub { (figure.note) } }
        }
    }
}

fn unreadable(page: &AuditPage) -> Markup {
    let table = html! {
        table {
            caption.vh { "Files that cannot be read" }
            thead { tr { th scope="col" { "File" } th scope="col" { "Reason" } } }
            tbody {
                @for failure in &page.unreadable {
                    tr { th.path scope="row" { (failure.path) } td { (failure.reason) } }
                }
            }
        }
    };
    html! { @if !page.unreadable.is_empty() { (scrolling("unreadable", &table)) } }
}

fn names(what: &str, names: &[String]) -> Markup {
    html! { @if !names.is_empty() { p.quiet.note { b { (what) ":" } " " (names.join(", ")) } } }
}

/// The first of `items` in a list of class `class`, and the others behind "more".
fn list<'a, T>(class: &str, items: &'a [T], mut entry: impl FnMut(&'a T) -> Markup) -> Markup {
    let (shown, further) = items.split_at(items.len().min(SHOWN));
    html! {
        @if !shown.is_empty() { ol class=(class) { @for item in shown { li { (entry(item)) } } } }
        @if !further.is_empty() {
            details.more {
                summary { (further.len()) " more" }
                ol class=(class) { @for item in further { li { (entry(item)) } } }
            }
        }
    }
}

fn groups<'a>(groups: &'a [PictureGroup], pictures: &mut PictureStore<'a>) -> Markup {
    list("groups", groups, |group| {
        html! {
            p.sub { (group.note) }
            div.files { @for picture in &group.pictures { (file(picture, pictures)) } }
        }
    })
}

fn file<'a>(picture: &'a Picture, pictures: &mut PictureStore<'a>) -> Markup {
    html! {
        figure {
            (pictures.show(picture))
            figcaption { span.name { (picture.label) } span.sub.path { (picture.caption) } }
        }
    }
}

fn doubts<'a>(doubts: &'a [Doubt], pictures: &mut PictureStore<'a>) -> Markup {
    list("doubts", doubts, |doubt| {
        html! {
            (pictures.show(&doubt.picture))
            div.what {
                p {
                    span.wrong.name { (doubt.picture.label) } " " span.sub { "or rather" } " "
                    span.right.name { (doubt.suggested) }
                }
                p.sub.path { (doubt.picture.caption) }
                div.nearest {
                    @for (picture, same) in &doubt.neighbors {
                        span.near.(if *same { "wrong" } else { "right" }) title=(picture.label) { (pictures.show(picture)) }
                    }
                }
                p.sub { (Percent(doubt.vote)) " % of its neighbors' votes for it; score " (Fixed(doubt.score, 2)) }
            }
        }
    })
}

fn strays<'a>(strays: &'a [Stray], pictures: &mut PictureStore<'a>) -> Markup {
    list("strays", strays, |stray| html! { (file(&stray.picture, pictures)) p.sub { (stray.note) } })
}

fn classes(page: &AuditPage) -> Markup {
    let largest = page.classes.iter().map(|class| class.images).max().unwrap_or(1);
    html! {
        (names("Without an image", &page.empty_classes))
        @if !page.classes.is_empty() {
            div.scroll.tall role="region" aria-labelledby="classes" tabindex="0" {
                table.sizes {
                    caption.vh { "Classes by size" }
                    thead {
                        tr {
                            th scope="col" { "Class" }
                            th.n scope="col" { "Images" }
                            th scope="col" { span.vh { "Share of the largest" } }
                            th.n scope="col" { "Diversity" }
                            th.n scope="col" { "In doubt" }
                        }
                    }
                    tbody {
                        @for class in &page.classes {
                            tr {
                                th.name scope="row" { (class.name) }
                                td.n { (Count(class.images as u64)) }
                                td.bars { (bar(class.images, largest)) }
                                td.n { @match class.diversity { Some(value) => { (Fixed(value, 2)) } None => { (DASH) } } }
                                td.n { @if class.doubts > 0 { (class.doubts) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sizes(page: &AuditPage) -> Markup {
    let largest = page.sizes.iter().map(|row| row.images).max().unwrap_or(1);
    let table = html! {
        table.sizes {
            caption.vh { "Images by the length of the shorter side" }
            thead {
                tr {
                    th scope="col" { "Shorter side" }
                    th.n scope="col" { "Images" }
                    th scope="col" { span.vh { "Share of the largest" } }
                }
            }
            tbody {
                @for row in &page.sizes {
                    tr {
                        th scope="row" { (row.range) }
                        td.n { (Count(row.images as u64)) }
                        td.bars { (bar(row.images, largest)) }
                    }
                }
            }
        }
    };
    html! { @if !page.sizes.is_empty() { (scrolling("sizes", &table)) } }
}

/// A bar of a count's share of the largest.
fn bar(count: usize, largest: usize) -> Markup {
    let percent = 100.0 * count as f64 / largest.max(1) as f64;
    html! { i style=(format_args!("width:{percent:.1}%")) {} }
}
