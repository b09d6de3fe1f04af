//! Pictures on a page: each stored once, thumbnails made within a budget.
//!
//! A retrieval grid shows the same picture many times. Its bytes are stored in one SVG `<symbol>` at the end of the
//! document, and every place that shows the picture refers to it with `<use>`: that needs no script and keeps the
//! alternative text at each place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kinsight_data::thumbnail::thumbnail_of_file;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

/// Longer side of a thumbnail.
const SIDE_PX: u32 = 160;
/// Longer side once the budget is spent.
const SMALL_PX: u32 = 64;
/// Bytes of all thumbnails together before they become small; base64 adds a third.
const BUDGET_BYTES: usize = 3 << 20;

/// An encoded picture and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The class name.
    pub label: String,
    /// Where it came from, such as its path; may be empty.
    pub caption: String,
    /// How `bytes` are encoded.
    pub format: PictureFormat,
    /// The encoded file, meant to be a thumbnail of a few kilobytes. Shared, since one picture is found by many
    /// queries; empty if the picture could not be read.
    #[serde(with = "as_base64")]
    pub bytes: Arc<[u8]>,
}

/// Bytes as text, which in JSON takes a third of the numbers' length.
mod as_base64 {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Arc::from).map_err(D::Error::custom)
    }
}

/// The encodings every browser shows. Vector formats are left out on purpose: they can carry script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PictureFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
}

impl Picture {
    /// A JPEG, as thumbnails are.
    pub fn jpeg(label: impl Into<String>, caption: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { label: label.into(), caption: caption.into(), format: PictureFormat::Jpeg, bytes: Arc::from(bytes) }
    }

    /// The picture as a URL that carries its bytes.
    pub(crate) fn data_url(&self) -> String {
        data_url(self.format, &self.bytes)
    }

    fn alternative(&self) -> &str {
        if self.label.is_empty() { &self.caption } else { &self.label }
    }
}

/// Thumbnails of files, each made once; they become smaller once a budget is spent, so that no page becomes too large
/// to mail.
#[derive(Debug, Default)]
pub struct Thumbnails {
    made: BTreeMap<usize, Picture>,
    spent_bytes: usize,
}

impl Thumbnails {
    /// The thumbnail of image `index`, which is the file at `path`; without bytes if it cannot be read.
    pub fn get(&mut self, index: usize, path: &Path, label: impl Into<String>, caption: impl Into<String>) -> Picture {
        if let Some(picture) = self.made.get(&index) {
            return picture.clone();
        }
        let side = if self.spent_bytes < BUDGET_BYTES { SIDE_PX } else { SMALL_PX };
        let picture = Picture::jpeg(label, caption, thumbnail_of_file(path, side).unwrap_or_default());
        self.spent_bytes += picture.bytes.len();
        self.made.insert(index, picture.clone());
        picture
    }
}

/// The pictures shown so far, in order of first appearance.
#[derive(Default)]
pub(crate) struct PictureStore<'a> {
    numbers: BTreeMap<(PictureFormat, &'a [u8]), usize>,
    pictures: Vec<(PictureFormat, &'a [u8])>,
}

impl<'a> PictureStore<'a> {
    /// A place that shows `picture`, square and cropped to its middle, with its label as alternative text.
    pub(crate) fn show(&mut self, picture: &'a Picture) -> Markup {
        let alternative = picture.alternative();
        if picture.bytes.is_empty() {
            return html! { span.pic.missing { "no picture" span.vh { " of " (alternative) } } };
        }
        let key = (picture.format, &*picture.bytes);
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.pictures.push(key);
            self.pictures.len() - 1
        });
        html! {
            svg.pic viewBox="0 0 96 96" role="img" aria-label=(alternative) { use href={ "#p" (number) } {} }
        }
    }

    /// The bytes of every picture shown.
    pub(crate) fn store(&self) -> Markup {
        html! {
            @if !self.pictures.is_empty() {
                svg.store width="0" height="0" aria-hidden="true" {
                    @for (number, (format, bytes)) in self.pictures.iter().enumerate() {
                        symbol id={ "p" (number) } viewBox="0 0 96 96" {
                            image width="96" height="96" preserveAspectRatio="xMidYMid slice" href=(data_url(*format, bytes)) {}
                        }
                    }
                }
            }
        }
    }
}

fn data_url(format: PictureFormat, bytes: &[u8]) -> String {
    let kind = match format {
        PictureFormat::Jpeg => "jpeg",
        PictureFormat::Png => "png",
        PictureFormat::Webp => "webp",
    };
    format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))
}
