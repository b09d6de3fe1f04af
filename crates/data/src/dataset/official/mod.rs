//! Published datasets, read from the folders that their archives unpack to.
//!
//! Each reader turns one layout into the training and test set of metric learning, which share no class. Readers list the
//! images in the annotations and open none; [`check`] tells whether the files exist and the counts are the published ones.

mod cars;
mod check;
mod cub;
mod in_shop;
mod inaturalist;
mod lines;
mod sop;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Split;
use super::entry::{self, Entry};
use crate::error::DataError;

pub use check::{LayoutCheck, PartCheck, check};

/// A published dataset with a known layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Caltech-UCSD Birds-200-2011: the first 100 classes train, the other 100 test.
    Cub,
    /// Stanford Cars: the first 98 classes train, the other 98 test.
    Cars,
    /// Stanford Online Products: two lists, grouped by super-class.
    Sop,
    /// DeepFashion In-Shop Clothes Retrieval: queries search a separate gallery.
    InShop,
    /// iNaturalist 2018, by the lists of Brown et al. (2020) or by half of the classes.
    Inaturalist,
}

/// What is known about a published dataset.
struct Publication {
    name: &'static str,
    title: &'static str,
    /// Common spellings of the name, lower-case, letters and digits only.
    spellings: &'static [&'static str],
    /// Folders that its archive is usually unpacked to.
    folders: &'static [&'static str],
    /// The files it consists of, in words.
    files: &'static str,
    /// Name, images and classes of each part, as the paper states them.
    published: &'static [(&'static str, usize, usize)],
    is_at: fn(&Path) -> bool,
    read: fn(&Path) -> Result<Parts, DataError>,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cub, Self::Cars, Self::Sop, Self::InShop, Self::Inaturalist];

    fn publication(self) -> &'static Publication {
        match self {
            Self::Cub => &cub::PUBLICATION,
            Self::Cars => &cars::PUBLICATION,
            Self::Sop => &sop::PUBLICATION,
            Self::InShop => &in_shop::PUBLICATION,
            Self::Inaturalist => &inaturalist::PUBLICATION,
        }
    }

    /// Its name on the command line and in settings.
    pub fn name(self) -> &'static str {
        self.publication().name
    }

    /// Its full name.
    pub fn title(self) -> &'static str {
        self.publication().title
    }

    /// The files it consists of, in words.
    pub fn expected_files(self) -> &'static str {
        self.publication().files
    }

    /// The dataset called `name`, or a common spelling of its name.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let is_called =
            |layout: &Self| plain == layout.name() || layout.publication().spellings.contains(&plain.as_str());
        Self::ALL.into_iter().find(is_called)
    }

    /// The dataset in the folder `path`, or in the folder below it that its archive unpacks to; with that folder.
    pub fn detect(path: &Path) -> Option<(Self, PathBuf)> {
        if !path.is_dir() {
            return None;
        }
        Self::ALL.into_iter().find_map(|layout| layout.find(path).map(|root| (layout, root)))
    }

    /// This dataset's folder, at or below `path`.
    pub fn find(self, path: &Path) -> Option<PathBuf> {
        let Publication { folders, is_at, .. } = self.publication();
        let below = folders.iter().map(|name| path.join(name));
        std::iter::once(path.to_owned()).chain(below).find(|candidate| is_at(candidate))
    }

    /// Reads the dataset at `path`; with `boxes`, images are cropped to their annotated boxes, if any.
    ///
    /// # Errors
    /// [`DataError::Layout`] if it is not there, [`DataError::CsvRow`] or [`DataError::Malformed`] for bad annotations.
    pub fn read(self, path: &Path, boxes: bool) -> Result<Split, DataError> {
        if !path.exists() {
            return Err(DataError::NotFound { path: path.to_owned() });
        }
        let root = self.find(path).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            layout: self.title(),
            expected: self.expected_files(),
        })?;
        let Parts { mut train, mut test } = (self.publication().read)(&root)?;
        if !boxes {
            train.iter_mut().chain(&mut test).for_each(|entry| entry.crop = None);
        }
        let protocol = entry::protocol(&test);
        Ok(Split { train: entry::dataset(&root, &train), test: entry::dataset(&root, &test), protocol })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// Training and test images.
#[derive(Debug, Default)]
struct Parts {
    train: Vec<Entry>,
    test: Vec<Entry>,
}

impl Parts {
    /// The first `trained` classes train, the others test: the convention of CUB and Cars.
    fn by_class(entries: Vec<Entry>, trained: usize) -> Self {
        let classes: BTreeSet<(u64, String)> = entries.iter().map(|entry| entry.class.clone()).collect();
        // An excerpt of the dataset is halved as well.
        let trained = if classes.len() > trained { trained } else { classes.len() / 2 };
        let trains: BTreeSet<&(u64, String)> = classes.iter().take(trained).collect();
        let (train, test) = entries.into_iter().partition(|entry| trains.contains(&entry.class));
        Self { train, test }
    }
}

#[cfg(test)]
mod tests;
