//! Thumbnails of test images, each made once, within a budget.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kinsight_data::Dataset;
use kinsight_data::thumbnail::thumbnail_of_file;

use crate::report::{Picture, PictureFormat};

/// Longer side of a thumbnail.
const SIDE_PX: u32 = 160;
/// Longer side once the budget is spent.
const SMALL_PX: u32 = 64;
/// Bytes of all thumbnails together before they become small; a third more as base64.
const BUDGET_BYTES: usize = 3 << 20;

/// Thumbnails of test images.
pub(super) struct Pictures<'a> {
    test: &'a Dataset,
    made: BTreeMap<usize, Picture>,
    spent: usize,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(test: &'a Dataset) -> Self {
        Self { test, made: BTreeMap::new(), spent: 0 }
    }

    /// The thumbnail of item `index` of the data set.
    pub(super) fn get(&mut self, index: usize) -> Picture {
        if let Some(picture) = self.made.get(&index) {
            return picture.clone();
        }
        let side = if self.spent < BUDGET_BYTES { SIDE_PX } else { SMALL_PX };
        let path = self.test.items.get(index).map_or(Path::new(""), |item| item.path.as_path());
        let picture = labeled(self.test, index, thumbnail_of_file(path, side).unwrap_or_default());
        self.spent += picture.bytes.len();
        self.made.insert(index, picture.clone());
        picture
    }
}

/// A JPEG of item `index` with what there is to say about it.
pub(super) fn labeled(test: &Dataset, index: usize, jpeg: Vec<u8>) -> Picture {
    let item = test.items.get(index);
    let label = item.and_then(|item| test.class_names.get(item.label as usize)).cloned().unwrap_or_default();
    Picture { label, caption: file_name(test, index), format: PictureFormat::Jpeg, bytes: Arc::from(jpeg) }
}

/// The file name of item `index`.
pub(super) fn file_name(test: &Dataset, index: usize) -> String {
    let name = test.items.get(index).and_then(|item| item.path.file_name());
    name.map(|name| name.to_string_lossy().to_string()).unwrap_or_default()
}
