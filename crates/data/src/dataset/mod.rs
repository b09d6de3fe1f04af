//! Labeled images on disk: which files there are, and the class of each.
//!
//! A dataset is a list; no image is opened. It comes from a folder of class folders, a CSV or Parquet file, or the folder
//! of a published dataset ([`official`]), and a [`Split`] divides it by class for training and testing. Names are sorted by
//! their bytes, so that the order never depends on the file system.

mod csv_file;
mod entry;
mod fingerprint;
mod folder;
mod mat_file;
pub mod official;
mod protocol;
mod split;
mod table;

use std::path::{Path, PathBuf};

pub use folder::image_files;
pub use protocol::{DISTRACTORS, Protocol, Role};
pub use split::{Split, SplitRule};

use crate::crop_box::CropBox;

/// One image and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The file.
    pub path: PathBuf,
    /// Index into [`Dataset::class_names`].
    pub label: u32,
    /// The part of the image to use, clamped to the image; `None` for all of it.
    pub crop: Option<CropBox>,
}

impl Item {
    /// A whole image.
    pub fn new(path: impl Into<PathBuf>, label: u32) -> Self {
        Self { path: path.into(), label, crop: None }
    }
}

/// A list of labeled images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The folder given by the user, or the folder of the CSV file. Every path of a folder dataset lies below it.
    pub root: PathBuf,
    /// The images.
    pub items: Vec<Item>,
    /// Name of each class; labels are positions in this list. The classes of a folder or CSV file are in byte order.
    pub class_names: Vec<String>,
}

impl Dataset {
    /// Images without classes, for embedding: all have label 0, of a single class with an empty name.
    pub fn unlabeled(root: &Path, paths: Vec<PathBuf>) -> Self {
        Self {
            root: root.to_owned(),
            items: paths.into_iter().map(|path| Item::new(path, 0)).collect(),
            class_names: vec![String::new()],
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Label of each image, in order.
    pub fn labels(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.label).collect()
    }

    /// For each class the positions of its images in [`Dataset::items`], ascending; for class-balanced sampling.
    pub fn items_by_class(&self) -> Vec<Vec<usize>> {
        let mut classes = vec![Vec::new(); self.class_names.len()];
        for (index, item) in self.items.iter().enumerate() {
            if let Some(class) = classes.get_mut(item.label as usize) {
                class.push(index);
            }
        }
        classes
    }

    /// Names of the classes with a single image. They can be trained on, but as queries they have nothing to find.
    pub fn classes_with_one_image(&self) -> Vec<&str> {
        let classes = self.items_by_class();
        let single = |(name, items): (_, &Vec<usize>)| (items.len() == 1).then_some(name);
        self.class_names.iter().map(String::as_str).zip(&classes).filter_map(single).collect()
    }

    /// The images of some classes, with labels renumbered from 0 in the order of `classes`. Unknown classes are ignored.
    pub fn of_classes(&self, classes: &[u32]) -> Self {
        let mut new_label = vec![None; self.class_names.len()];
        let mut class_names = Vec::with_capacity(classes.len());
        for &class in classes {
            if let (Some(slot @ None), Some(name)) =
                (new_label.get_mut(class as usize), self.class_names.get(class as usize))
            {
                *slot = Some(class_names.len() as u32);
                class_names.push(name.clone());
            }
        }
        let renumbered = |item: &Item| {
            let label = (*new_label.get(item.label as usize)?)?;
            Some(Item { label, ..item.clone() })
        };
        Self { root: self.root.clone(), items: self.items.iter().filter_map(renumbered).collect(), class_names }
    }

    /// Positions in [`Dataset::items`] of the images of the classes called `names`.
    ///
    /// # Errors
    /// The names that no class of this dataset has.
    pub fn items_of_classes(&self, names: &[String]) -> Result<Vec<usize>, Vec<String>> {
        let unknown: Vec<String> = names.iter().filter(|name| !self.class_names.contains(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let wanted: Vec<bool> = self.class_names.iter().map(|name| names.contains(name)).collect();
        let is_wanted = |index: &usize| wanted.get(self.items[*index].label as usize) == Some(&true);
        Ok((0..self.items.len()).filter(is_wanted).collect())
    }

    /// The images at `indices`, in that order, with the same classes and labels.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let items = indices.iter().filter_map(|&index| self.items.get(index).cloned()).collect();
        Self { root: self.root.clone(), items, class_names: self.class_names.clone() }
    }
}

#[cfg(test)]
mod tests;
