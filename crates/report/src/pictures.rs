//! Each picture once.
//!
//! A retrieval grid shows the same picture many times: before and after, for one query and the next. The bytes are
//! stored in one SVG `<symbol>` each, at the end of the document, and every place that shows the picture refers to it
//! with `<use>`. That needs no script and keeps the alternative text at each place.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::escape::Text;
use super::model::{Picture, PictureFormat};

/// The pictures shown so far, in order of first appearance.
#[derive(Default)]
pub(super) struct PictureStore<'a> {
    numbers: BTreeMap<(PictureFormat, &'a [u8]), usize>,
    pictures: Vec<(PictureFormat, &'a [u8])>,
}

impl<'a> PictureStore<'a> {
    /// Writes a place that shows `picture`, square and cropped to its middle, with its label as alternative text.
    pub(super) fn show(&mut self, f: &mut Formatter<'_>, picture: &'a Picture) -> fmt::Result {
        let alternative = if picture.label.is_empty() { &picture.caption } else { &picture.label };
        if picture.bytes.is_empty() {
            return write!(
                f,
                r#"<span class="pic missing">no picture<span class="vh"> of {}</span></span>"#,
                Text(alternative)
            );
        }
        let key = (picture.format, &*picture.bytes);
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.pictures.push(key);
            self.pictures.len() - 1
        });
        write!(
            f,
            r##"<svg class="pic" viewBox="0 0 96 96" role="img" aria-label="{}"><use href="#p{number}"/></svg>"##,
            Text(alternative),
        )
    }

    /// Writes the bytes of every picture shown.
    pub(super) fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.pictures.is_empty() {
            return Ok(());
        }
        writeln!(f, r#"<svg class="store" width="0" height="0" aria-hidden="true">"#)?;
        for (number, (format, bytes)) in self.pictures.iter().enumerate() {
            writeln!(
                f,
                concat!(
                    r#"<symbol id="p{}" viewBox="0 0 96 96"><image width="96" height="96" "#,
                    r#"preserveAspectRatio="xMidYMid slice" href="data:{};base64,{}"/></symbol>"#
                ),
                number,
                mime(*format),
                STANDARD.encode(bytes),
            )?;
        }
        writeln!(f, "</svg>")
    }
}

fn mime(format: PictureFormat) -> &'static str {
    match format {
        PictureFormat::Jpeg => "image/jpeg",
        PictureFormat::Png => "image/png",
        PictureFormat::Webp => "image/webp",
    }
}
