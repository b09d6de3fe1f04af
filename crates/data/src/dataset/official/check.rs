//! Is the data set whole? Counts against the published ones, and files that the annotations name but nobody finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::Layout;
use crate::dataset::Dataset;
use crate::error::DataError;

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayoutCheck {
    /// The data set.
    pub dataset: Layout,
    /// Where it lies.
    pub folder: PathBuf,
    /// Train, test, and queries and gallery where they are apart.
    pub parts: Vec<PartCheck>,
    /// Files that the annotations name and that are not there.
    pub missing: Vec<PathBuf>,
}

/// Numbers of one part, found and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartCheck {
    /// `train`, `test`, `query`, `gallery`.
    pub name: &'static str,
    /// Images that the annotations name.
    pub images: usize,
    /// Images as published.
    pub published_images: usize,
    /// Classes that the annotations name.
    pub classes: usize,
    /// Classes as published.
    pub published_classes: usize,
}

impl PartCheck {
    /// Whether both numbers are the published ones.
    pub fn agrees(&self) -> bool {
        self.images == self.published_images && self.classes == self.published_classes
    }
}

impl LayoutCheck {
    /// Whether every number is the published one and every file is there.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.parts.iter().all(PartCheck::agrees)
    }
}

/// Images and classes of each part, as the papers state them.
fn published(layout: Layout) -> Vec<(&'static str, usize, usize)> {
    match layout {
        Layout::Cub => vec![("train", 5_864, 100), ("test", 5_924, 100)],
        Layout::Cars => vec![("train", 8_054, 98), ("test", 8_131, 98)],
        Layout::Sop => vec![("train", 59_551, 11_318), ("test", 60_502, 11_316)],
        Layout::InShop => vec![("train", 25_882, 3_997), ("query", 14_218, 3_985), ("gallery", 12_612, 3_985)],
        Layout::Inaturalist => vec![("train", 325_846, 5_690), ("test", 136_093, 2_452)],
    }
}

/// Reads the data set at `path` and compares it with what was published.
///
/// # Errors
/// As [`Layout::read`].
pub fn check(layout: Layout, path: &Path) -> Result<LayoutCheck, DataError> {
    let split = layout.read(path, false)?;
    let counted = |dataset: &Dataset, keep: &dyn Fn(usize) -> bool| {
        let kept: Vec<u32> =
            dataset.items.iter().enumerate().filter(|(index, _)| keep(*index)).map(|(_, item)| item.label).collect();
        let classes = kept.iter().collect::<BTreeSet<_>>().len();
        (kept.len(), classes)
    };
    let parts = published(layout)
        .into_iter()
        .map(|(name, published_images, published_classes)| {
            let (images, classes) = match name {
                "train" => counted(&split.train, &|_| true),
                "query" => counted(&split.test, &|index| split.protocol.is_query(index)),
                "gallery" => counted(&split.test, &|index| split.protocol.is_in_gallery(index)),
                _ => counted(&split.test, &|_| true),
            };
            PartCheck { name, images, published_images, classes, published_classes }
        })
        .collect();
    let paths: Vec<&PathBuf> = split.train.items.iter().chain(&split.test.items).map(|item| &item.path).collect();
    let missing = paths.into_par_iter().filter(|path| !path.is_file()).cloned().collect();
    Ok(LayoutCheck { dataset: layout, folder: split.train.root, parts, missing })
}
