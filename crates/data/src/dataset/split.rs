//! Dividing a dataset into classes to train on and classes to test on.
//!
//! Retrieval is tested on classes not seen in training, so the two sides share no class; an overlap is an error unless the
//! user allows it.

use std::collections::BTreeSet;
use std::path::Path;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::official::Layout;
use super::protocol::Protocol;
use super::table::is_parquet;
use super::{Dataset, Item, csv_file};
use crate::error::DataError;

/// How the classes are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitRule {
    /// Train on the first half of the classes in byte order (rounded down), test on the others: the convention of CUB,
    /// Cars and most work since.
    FirstHalf,
    /// Train on a random half of the classes (rounded down), test on the others.
    RandomHalf {
        /// The same seed draws the same halves.
        seed: u64,
    },
    /// The subfolders `train` and `test`, both folders of class folders.
    Folders,
    /// The column `split` of a CSV or Parquet file.
    Csv,
    /// The split of a published dataset.
    Official {
        /// The dataset.
        layout: Layout,
        /// Whether images are cropped to the annotated boxes.
        #[serde(default)]
        boxes: bool,
    },
}

/// The two sides of a dataset. Labels count from 0 on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The training set.
    pub train: Dataset,
    /// The test set.
    pub test: Dataset,
    /// How the test set is evaluated.
    pub protocol: Protocol,
}

impl SplitRule {
    /// The rule for a path: the column of a `.csv` or `.parquet` file, the official split of a published dataset, the
    /// subfolders `train` and `test`, and for any other folder the first half of its classes.
    pub fn detect(path: &Path) -> Self {
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        if (is_csv || is_parquet(path)) && !path.is_dir() {
            Self::Csv
        } else if let Some((layout, _)) = Layout::detect(path) {
            Self::Official { layout, boxes: false }
        } else if path.join("train").is_dir() && path.join("test").is_dir() {
            Self::Folders
        } else {
            Self::FirstHalf
        }
    }

    /// The rule in words, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstHalf => "first half of the classes",
            Self::RandomHalf { .. } => "random half of the classes",
            Self::Folders => "train and test folders",
            Self::Csv => "column split",
            Self::Official { layout, .. } => layout.title(),
        }
    }
}

impl Split {
    /// Loads `path` and splits it by `rule`, or by [`SplitRule::detect`] if `None`. With `allow_overlap` a class may be on
    /// both sides.
    ///
    /// # Errors
    /// Those of [`Dataset::from_folder`] and [`Dataset::from_csv`]; [`DataError::Split`] if a side would be empty or the
    /// rule does not fit the path; [`DataError::ClassOverlap`].
    pub fn load(path: &Path, rule: Option<SplitRule>, allow_overlap: bool) -> Result<Self, DataError> {
        if !path.exists() {
            return Err(DataError::NotFound { path: path.to_owned() });
        }
        let rule = rule.unwrap_or_else(|| SplitRule::detect(path));
        let refuse =
            |reason: &str| DataError::Split { path: path.to_owned(), rule: rule.name(), reason: reason.to_owned() };
        let split = match rule {
            SplitRule::FirstHalf | SplitRule::RandomHalf { .. } => {
                let dataset = if path.is_file() { Dataset::from_csv(path)? } else { Dataset::from_folder(path)? };
                Self::by_half(&dataset, rule)?
            }
            SplitRule::Folders if path.join("train").is_dir() && path.join("test").is_dir() => Self {
                train: Dataset::from_folder(&path.join("train"))?,
                test: Dataset::from_folder(&path.join("test"))?,
                protocol: Protocol::default(),
            },
            SplitRule::Folders => return Err(refuse("it has no subfolders train and test")),
            SplitRule::Csv if path.is_file() => {
                let (train, test, protocol) = csv_file::read_sides(path)?;
                Self { train, test, protocol }
            }
            SplitRule::Csv => return Err(refuse("it is not a file")),
            SplitRule::Official { layout, boxes } => layout.read(path, boxes)?,
        };
        if split.train.is_empty() {
            return Err(refuse("there is nothing to train on"));
        }
        if split.test.is_empty() {
            return Err(refuse("there is nothing to test on"));
        }
        let shared = split.shared_classes();
        if !shared.is_empty() && !allow_overlap {
            return Err(DataError::ClassOverlap { classes: shared });
        }
        Ok(split)
    }

    /// Divides the classes of `dataset` into halves.
    fn by_half(dataset: &Dataset, rule: SplitRule) -> Result<Self, DataError> {
        let refuse = |reason: String| DataError::Split { path: dataset.root.clone(), rule: rule.name(), reason };
        let mut classes: Vec<u32> = (0..dataset.num_classes() as u32).collect();
        if classes.len() < 2 {
            return Err(refuse(format!("{} class cannot be divided", classes.len())));
        }
        match rule {
            SplitRule::FirstHalf => {}
            SplitRule::RandomHalf { seed } => classes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed)),
            SplitRule::Folders | SplitRule::Csv | SplitRule::Official { .. } => {
                return Err(refuse("the rule does not divide into halves".to_owned()));
            }
        }
        let (train, test) = divided(dataset, classes, dataset.num_classes() / 2);
        Ok(Self { train, test, protocol: Protocol::default() })
    }

    /// Moves about `share` of the training classes (at least one), drawn with `seed`, into a validation set, so that a model
    /// can be selected without the test classes.
    ///
    /// # Errors
    /// [`DataError::Split`] if `share` is not between 0 and 1 or would take every training class.
    pub fn carve_validation(&mut self, share: f64, seed: u64) -> Result<Dataset, DataError> {
        let refuse =
            |reason: String| DataError::Split { path: self.train.root.clone(), rule: "validation share", reason };
        if !(share > 0.0 && share < 1.0) {
            return Err(refuse(format!("the share is {share}, expected a number between 0 and 1")));
        }
        let mut classes: Vec<u32> = (0..self.train.num_classes() as u32).collect();
        let taken = ((classes.len() as f64 * share).round() as usize).max(1);
        if taken >= classes.len() {
            return Err(refuse(format!("it would take all {} training classes", classes.len())));
        }
        // Not the stream that draws the halves, so that the two draws are independent.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        classes.shuffle(&mut rng);
        let (validation, train) = divided(&self.train, classes, taken);
        self.train = train;
        Ok(validation)
    }

    /// Both sides as one dataset, with classes of the same name joined.
    pub fn merged(&self) -> Dataset {
        let names: BTreeSet<&String> = self.train.class_names.iter().chain(&self.test.class_names).collect();
        let class_names: Vec<String> = names.into_iter().cloned().collect();
        let relabeled = |dataset: &Dataset| -> Vec<Item> {
            let new: Vec<u32> = dataset
                .class_names
                .iter()
                .map(|name| class_names.binary_search(name).map_or(0, |place| place as u32))
                .collect();
            dataset.items.iter().map(|item| Item { label: new[item.label as usize], ..item.clone() }).collect()
        };
        let items = [&self.train, &self.test].into_iter().flat_map(relabeled).collect();
        let root = if self.train.is_empty() { &self.test.root } else { &self.train.root };
        // Folders `train` and `test` have their parent in common.
        let root = if self.train.root == self.test.root { root } else { root.parent().unwrap_or(root) };
        Dataset { root: root.to_owned(), items, class_names }
    }

    /// Names of the classes that are on both sides, in byte order.
    pub fn shared_classes(&self) -> Vec<String> {
        let train: BTreeSet<&String> = self.train.class_names.iter().collect();
        let shared: BTreeSet<&String> = self.test.class_names.iter().filter(|name| train.contains(name)).collect();
        shared.into_iter().cloned().collect()
    }
}

/// The first `count` of `classes` and the others, each as a dataset with its classes in ascending order.
fn divided(dataset: &Dataset, mut classes: Vec<u32>, count: usize) -> (Dataset, Dataset) {
    let (first, others) = classes.split_at_mut(count);
    first.sort_unstable();
    others.sort_unstable();
    (dataset.of_classes(first), dataset.of_classes(others))
}
