//! One picture of a dataset.

use std::path::PathBuf;

use crate::transform::CropBox;

/// One picture and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The file.
    pub path: PathBuf,
    /// Index into [`Dataset::class_names`](super::Dataset::class_names).
    pub label: u32,
    /// The part of the picture that counts; `None` for all of it. A box that reaches beyond the picture is cut to it.
    pub crop: Option<CropBox>,
}

impl Item {
    /// A whole picture.
    pub fn new(path: impl Into<PathBuf>, label: u32) -> Self {
        Self { path: path.into(), label, crop: None }
    }
}
