//! Labeled pictures on disk: which files there are, and which class each belongs to.
//!
//! A dataset is a list; it opens no picture. It comes from a folder of class folders, from a CSV or Parquet file, or from
//! the folder that a known data set's publisher hands out ([`official`]), and a
//! [`Split`] parts it by class for training and measuring. Order never depends on the file system: names are sorted by
//! their bytes.

mod csv_file;
mod fingerprint;
mod folder;
mod item;
mod mat_file;
pub mod official;
mod protocol;
mod split;
mod table;

use std::path::{Path, PathBuf};

pub use folder::{IMAGE_EXTENSIONS, image_files};
pub use item::Item;
pub use protocol::{DISTRACTORS, Protocol, Role};
pub use split::{Split, SplitRule};

/// A list of labeled pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// What the user named: the folder, or the folder of the CSV file. Every path of a folder dataset lies below it.
    pub root: PathBuf,
    /// The pictures.
    pub items: Vec<Item>,
    /// Name of each class; labels are positions in this list. Classes of a folder or CSV file come in byte order.
    pub class_names: Vec<String>,
}

impl Dataset {
    /// Pictures without classes, for embedding: all carry label 0 of a single class with an empty name.
    pub fn unlabeled(root: &Path, paths: Vec<PathBuf>) -> Self {
        Self {
            root: root.to_owned(),
            items: paths.into_iter().map(|path| Item::new(path, 0)).collect(),
            class_names: vec![String::new()],
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Label of each picture, in order.
    pub fn labels(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.label).collect()
    }

    /// Positions in [`Dataset::items`] of each class's pictures, ascending; what a class-balanced sampler draws from.
    pub fn items_by_class(&self) -> Vec<Vec<usize>> {
        let mut classes = vec![Vec::new(); self.class_names.len()];
        for (index, item) in self.items.iter().enumerate() {
            if let Some(class) = classes.get_mut(item.label as usize) {
                class.push(index);
            }
        }
        classes
    }

    /// Names of the classes with a single image: as queries they have nothing to find.
    pub fn classes_with_one_image(&self) -> Vec<&str> {
        let classes = self.items_by_class();
        let single = |(name, items): (_, &Vec<usize>)| (items.len() == 1).then_some(name);
        self.class_names.iter().map(String::as_str).zip(&classes).filter_map(single).collect()
    }

    /// The pictures of some classes, labels renumbered from 0 in the order of `classes`.
    ///
    /// Numbers that are no class are left out.
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
}

impl Dataset {
    /// Positions in [`Dataset::items`] of the pictures whose class is in `names`.
    ///
    /// # Errors
    /// The names that are no class of this dataset.
    pub fn items_of_classes(&self, names: &[String]) -> Result<Vec<usize>, Vec<String>> {
        let unknown: Vec<String> = names.iter().filter(|name| !self.class_names.contains(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let wanted: Vec<bool> = self.class_names.iter().map(|name| names.contains(name)).collect();
        let is_wanted = |item: &Item| wanted.get(item.label as usize).copied().unwrap_or_default();
        Ok(self.items.iter().enumerate().filter(|(_, item)| is_wanted(item)).map(|(index, _)| index).collect())
    }

    /// The pictures at `indices`, in that order, with the same classes and labels.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let items = indices.iter().filter_map(|&index| self.items.get(index).cloned()).collect();
        Self { root: self.root.clone(), items, class_names: self.class_names.clone() }
    }
}

#[cfg(test)]
mod tests;
