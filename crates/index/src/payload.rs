//! What an index knows of an image besides its embedding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Fields by name. Those that Kinsight sets itself are listed in [`fields`]; a CSV's columns keep their names.
pub type Payload = BTreeMap<String, Value>;

/// Names of the fields that indexing sets.
pub mod fields {
    /// Path below the root it was indexed from, with `/` between its parts.
    pub const PATH: &str = "path";
    /// The folder that `path` starts from.
    pub const ROOT: &str = "root";
    /// Class: the name of the folder, or the CSV's label.
    pub const LABEL: &str = "label";
    /// Width in pixels, upright.
    pub const WIDTH: &str = "width";
    /// Height in pixels, upright.
    pub const HEIGHT: &str = "height";
    /// Size of the file.
    pub const SIZE_BYTES: &str = "size_bytes";
    /// When the file was last modified, in nanoseconds since 1970; text, because a number cannot hold it.
    pub const MODIFIED_NS: &str = "modified_ns";
    /// BLAKE3 of the file's content: equal for copies of a file.
    pub const CONTENT_HASH: &str = "content_hash";
    /// BLAKE3 of the decoded pixels: equal for the same picture in different files.
    pub const PIXEL_HASH: &str = "pixel_hash";
    /// All of them.
    pub const ALL: [&str; 9] = [PATH, ROOT, LABEL, WIDTH, HEIGHT, SIZE_BYTES, MODIFIED_NS, CONTENT_HASH, PIXEL_HASH];
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// What a CSV's cell means: a number where it reads as one and is written the way that number is, so that a code such
    /// as `007` stays the text it is.
    pub fn of_cell(cell: &str) -> Self {
        match plain_number(cell) {
            Some(number) if number.to_string() == cell => Self::Number(number),
            _ => Self::Text(cell.to_owned()),
        }
    }

    /// As text; a number in its shortest form.
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// # Panics
/// Never; a number that is not finite becomes its text, because JSON cannot hold it.
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Text(number.to_string()) }
    }
}

/// The finite number that `text` is written as: digits, perhaps a sign, a point, an exponent; not `inf` or `nan`.
pub(crate) fn plain_number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_are_written_as_numbers_are_numbers() {
        for (cell, expected) in [("12", 12.0), ("-0.5", -0.5), ("0", 0.0)] {
            assert_eq!(Value::of_cell(cell), Value::Number(expected));
        }
        for cell in ["007", "1e5", "+3", "inf", "NaN", "", "1.50", "12 cm", "1_000"] {
            assert_eq!(Value::of_cell(cell), Value::from(cell));
        }
    }
}
