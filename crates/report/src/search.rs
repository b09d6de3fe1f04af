//! What a search found, as one page with its pictures inside.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::frame::{self, Section, intro};
use crate::number::Fixed;
use crate::pictures::{Picture, PictureStore};

/// Everything the page of a search shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    /// What was searched with; captions are the paths.
    pub queries: Vec<Picture>,
    /// The filter, as it was given.
    pub condition: Option<String>,
    /// What to say above the hits, where none is good; may be empty.
    pub remark: String,
    /// What was found, nearest first.
    pub hits: Vec<SearchHit>,
}

/// One image that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// The image; its label and path.
    pub picture: Picture,
    /// Cosine similarity to the query.
    pub score: f64,
    /// What the score means by the index's thresholds; empty without them.
    pub verdict: String,
}

impl SearchPage {
    /// The whole page as one HTML document.
    #[must_use]
    pub fn to_html(&self) -> String {
        let sections = [
            Section { id: "query", heading: "Searched by", body: self.searched() },
            Section { id: "found", heading: "Found", body: self.found() },
        ];
        frame::document("Search", "search", intro("Search", "", ""), &sections, &PictureStore::default())
    }

    fn searched(&self) -> Markup {
        html! {
            @if let Some(condition) = &self.condition { p.quiet.note { "Only where " code { (condition) } } }
            ul.hits {
                @for query in &self.queries { li { figure { (image(query)) figcaption { span.sub.path { (query.caption) } } } } }
            }
        }
    }

    fn found(&self) -> Markup {
        html! {
            @if !self.remark.is_empty() { p.quiet.note { (self.remark) } }
            ol.hits {
                @for hit in &self.hits {
                    li {
                        figure {
                            (image(&hit.picture))
                            figcaption {
                                (Fixed(hit.score, 4)) " " span.sub { (hit.verdict) }
                                span.name { (hit.picture.label) }
                                span.sub.path { (hit.picture.caption) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The whole picture, or a word where the file cannot be read.
fn image(picture: &Picture) -> Markup {
    let name = if picture.label.is_empty() { &picture.caption } else { &picture.label };
    html! {
        @if picture.bytes.is_empty() { span.pic.missing { "the file cannot be read" } }
        @else { img.whole alt=(name) src=(picture.data_url()); }
    }
}
