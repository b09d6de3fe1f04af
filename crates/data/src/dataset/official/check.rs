//! Whether a published dataset is complete: its counts against the published ones, and files that are missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::Layout;
use crate::error::DataError;

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayoutCheck {
    /// The dataset.
    pub dataset: Layout,
    /// Its folder.
    pub folder: PathBuf,
    /// Train and test, or train, query and gallery.
    pub parts: Vec<PartCheck>,
    /// Files in the annotations that do not exist.
    pub missing: Vec<PathBuf>,
}

/// Counts of one part, found and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartCheck {
    /// `train`, `test`, `query`, `gallery`.
    pub name: &'static str,
    /// Images in the annotations.
    pub images: usize,
    /// Images as published.
    pub published_images: usize,
    /// Classes in the annotations.
    pub classes: usize,
    /// Classes as published.
    pub published_classes: usize,
}

impl PartCheck {
    /// Whether both counts are the published ones.
    pub fn agrees(&self) -> bool {
        self.images == self.published_images && self.classes == self.published_classes
    }
}

impl LayoutCheck {
    /// Whether every count is the published one and every file exists.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.parts.iter().all(PartCheck::agrees)
    }
}

/// Reads the annotations at `path` and compares their counts with the published ones.
///
/// # Errors
/// As [`Layout::read`].
pub fn check(layout: Layout, path: &Path) -> Result<LayoutCheck, DataError> {
    let split = layout.read(path, false)?;
    let part = |&(name, published_images, published_classes): &(&'static str, usize, usize)| {
        let dataset = if name == "train" { &split.train } else { &split.test };
        let belongs = |index: usize| match name {
            "query" => split.protocol.is_query(index),
            "gallery" => split.protocol.is_in_gallery(index),
            _ => true,
        };
        let items = dataset.items.iter().enumerate().filter(|(index, _)| belongs(*index));
        let labels: Vec<u32> = items.map(|(_, item)| item.label).collect();
        let classes = labels.iter().collect::<BTreeSet<_>>().len();
        PartCheck { name, images: labels.len(), published_images, classes, published_classes }
    };
    let parts = layout.publication().published.iter().map(part).collect();
    let paths: Vec<&PathBuf> = split.train.items.iter().chain(&split.test.items).map(|item| &item.path).collect();
    let missing = paths.into_par_iter().filter(|path| !path.is_file()).cloned().collect();
    Ok(LayoutCheck { dataset: layout, folder: split.train.root, parts, missing })
}
