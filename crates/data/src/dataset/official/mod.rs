//! Data sets of the field, read from the folders that their publishers hand out.
//!
//! Each reader turns one layout into the train and test side that metric learning uses: classes of the test side are
//! never trained on. Readers list what the annotations name and open no picture; [`check`] looks whether the files are
//! there and whether the numbers are the published ones.

mod cars;
mod check;
mod cub;
mod in_shop;
mod inaturalist;
mod lines;
mod sop;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::protocol::{Protocol, Role};
use super::{Dataset, Item, Split};
use crate::error::DataError;
use crate::transform::CropBox;

pub use check::{LayoutCheck, PartCheck, check};

/// A data set whose layout is known.
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
    /// iNaturalist 2018, by the lists of Brown et al. (2020) or halved by class.
    Inaturalist,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cub, Self::Cars, Self::Sop, Self::InShop, Self::Inaturalist];

    /// Its name on the command line and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cub => "cub",
            Self::Cars => "cars",
            Self::Sop => "sop",
            Self::InShop => "in_shop",
            Self::Inaturalist => "inaturalist",
        }
    }

    /// Its full name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cub => "CUB-200-2011",
            Self::Cars => "Cars196",
            Self::Sop => "Stanford Online Products",
            Self::InShop => "In-Shop Clothes Retrieval",
            Self::Inaturalist => "iNaturalist 2018",
        }
    }

    /// The one called `name`: its name, or a common spelling of it.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        Some(match plain.as_str() {
            "cub" | "cub200" | "cub2002011" => Self::Cub,
            "cars" | "cars196" | "stanfordcars" => Self::Cars,
            "sop" | "stanfordonlineproducts" => Self::Sop,
            "inshop" | "deepfashion" => Self::InShop,
            "inaturalist" | "inaturalist2018" | "inat" | "inat2018" => Self::Inaturalist,
            _ => return None,
        })
    }

    /// The data set that lies at `path`, or in the folder below it that its archive unpacks to; with the folder.
    pub fn detect(path: &Path) -> Option<(Self, PathBuf)> {
        if !path.is_dir() {
            return None;
        }
        Self::ALL.into_iter().find_map(|layout| layout.find(path).map(|root| (layout, root)))
    }

    /// Where this data set lies at or below `path`.
    pub fn find(self, path: &Path) -> Option<PathBuf> {
        let (inner, is_at): (&[&str], fn(&Path) -> bool) = match self {
            Self::Cub => (&["CUB_200_2011"], cub::is_at),
            Self::Cars => (&["stanford_cars", "cars", "cars196", "CARS"], cars::is_at),
            Self::Sop => (&["Stanford_Online_Products"], sop::is_at),
            Self::InShop => (&["In-shop", "In_shop", "inshop", "In-shop Clothes Retrieval Benchmark"], in_shop::is_at),
            Self::Inaturalist => (&["Inaturalist", "inaturalist", "iNaturalist"], inaturalist::is_at),
        };
        let below = inner.iter().map(|name| path.join(name));
        std::iter::once(path.to_owned()).chain(below).find(|candidate| is_at(candidate))
    }

    /// What its folder must hold, in words.
    pub fn expected_files(self) -> &'static str {
        match self {
            Self::Cub => "images.txt, image_class_labels.txt and images/",
            Self::Cars => {
                "cars_annos.mat and car_ims/; or devkit/cars_train_annos.mat, cars_test_annos_withlabels.mat, cars_train/ and cars_test/"
            }
            Self::Sop => "Ebay_train.txt and Ebay_test.txt",
            Self::InShop => "list_eval_partition.txt (or Eval/list_eval_partition.txt) and img/ (or Img/img/)",
            Self::Inaturalist => {
                "train_val2018/ with Inat_dataset_splits/Inaturalist_train_set1.txt and Inaturalist_test_set1.txt, or with train2018.json"
            }
        }
    }

    /// Reads the data set at `path`; with `boxes` the pictures are cropped to the objects where the annotations have boxes.
    ///
    /// # Errors
    /// [`DataError::Layout`] if it is not there, [`DataError::CsvRow`] or [`DataError::Annotation`] for annotations that
    /// cannot be understood.
    pub fn read(self, path: &Path, boxes: bool) -> Result<Split, DataError> {
        if !path.exists() {
            return Err(DataError::NotFound { path: path.to_owned() });
        }
        let root = self.find(path).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            layout: self.title(),
            expected: self.expected_files(),
        })?;
        let mut parts = match self {
            Self::Cub => cub::read(&root),
            Self::Cars => cars::read(&root),
            Self::Sop => sop::read(&root),
            Self::InShop => in_shop::read(&root),
            Self::Inaturalist => inaturalist::read(&root),
        }?;
        if !boxes {
            parts.train.iter_mut().chain(&mut parts.test).for_each(|entry| entry.crop = None);
        }
        Ok(parts.into_split(&root))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// One picture as the annotations give it.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// Number and name of its class; classes are ordered by both.
    class: (u64, String),
    crop: Option<CropBox>,
    role: Role,
    group: Option<String>,
}

impl Entry {
    fn new(path: PathBuf, class: (u64, String)) -> Self {
        Self { path, class, crop: None, role: Role { query: true, gallery: true }, group: None }
    }
}

/// Both sides of a data set.
#[derive(Debug, Default)]
struct Parts {
    train: Vec<Entry>,
    test: Vec<Entry>,
}

impl Parts {
    /// The classes in their order, the first `trained` of which train: the convention of CUB and Cars.
    fn by_class(entries: Vec<Entry>, trained: usize) -> Self {
        let classes: BTreeSet<(u64, String)> = entries.iter().map(|entry| entry.class.clone()).collect();
        // A miniature or a part of the data set is halved as the whole one is.
        let trained = if classes.len() > trained { trained } else { classes.len() / 2 };
        let trains: BTreeSet<&(u64, String)> = classes.iter().take(trained).collect();
        let (train, test) = entries.into_iter().partition(|entry| trains.contains(&entry.class));
        Self { train, test }
    }

    fn into_split(self, root: &Path) -> Split {
        let mut protocol = Protocol::default();
        if self.test.iter().any(|entry| !(entry.role.query && entry.role.gallery)) {
            protocol.roles = self.test.iter().map(|entry| entry.role).collect();
        }
        let groups: BTreeSet<&String> = self.test.iter().filter_map(|entry| entry.group.as_ref()).collect();
        if groups.len() > 1 {
            let numbers: BTreeMap<&String, u32> = groups.iter().copied().zip(0..).collect();
            let group = |entry: &Entry| entry.group.as_ref().map_or(0, |group| numbers[group]);
            protocol.groups = self.test.iter().map(group).collect();
            protocol.group_names = groups.into_iter().cloned().collect();
        }
        Split { train: dataset(root, self.train), test: dataset(root, self.test), protocol }
    }
}

fn dataset(root: &Path, entries: Vec<Entry>) -> Dataset {
    let classes: BTreeSet<(u64, String)> = entries.iter().map(|entry| entry.class.clone()).collect();
    let labels: BTreeMap<&(u64, String), u32> = classes.iter().zip(0..).collect();
    let items = entries
        .iter()
        .map(|entry| Item { path: entry.path.clone(), label: labels[&entry.class], crop: entry.crop })
        .collect();
    Dataset { root: root.to_owned(), items, class_names: classes.iter().map(|(_, name)| name.clone()).collect() }
}

#[cfg(test)]
mod tests;
