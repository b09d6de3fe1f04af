//! The images to look at, with class and side of the split, from any layout; broken layouts are findings, not errors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kinsight_data::dataset::{Item, image_files};
use kinsight_data::{DataError, Dataset, Split, SplitRule};

/// Images of one or two sides of a split.
#[derive(Debug)]
pub struct Images {
    /// All images; the label is an index into `class_names`.
    pub items: Vec<Item>,
    /// Name of each class, in byte order; a single empty name if there are no classes.
    pub class_names: Vec<String>,
    /// Side of each image: an index into `sides`.
    pub side: Vec<usize>,
    /// `train` and `test`, or nothing if there is no split.
    pub sides: Vec<&'static str>,
    /// Classes on both sides.
    pub shared_classes: Vec<String>,
    /// Class folders without an image.
    pub empty_classes: Vec<String>,
}

impl Images {
    /// The images at `path`, divided by `asked` or, without it, as the path says of itself.
    ///
    /// # Errors
    /// [`DataError`] if there is nothing at `path`, or it cannot be divided as asked.
    pub fn load(path: &Path, asked: Option<SplitRule>) -> Result<Self, DataError> {
        if !path.exists() {
            return Err(DataError::NotFound { path: path.to_owned() });
        }
        match asked.unwrap_or_else(|| SplitRule::detect(path)) {
            // Halves are a default of training, not a property of the data: leakage between them is looked for only
            // when they are asked for.
            SplitRule::FirstHalf | SplitRule::RandomHalf { .. } if asked.is_none() => Self::one_side(path),
            SplitRule::Csv if asked.is_none() => match Split::load(path, Some(SplitRule::Csv), true) {
                Ok(split) => Ok(Self::two_sides(split)),
                Err(DataError::MissingColumns { .. } | DataError::Split { .. }) => {
                    Ok(Self::of_dataset(Dataset::from_csv(path)?))
                }
                Err(error) => Err(error),
            },
            SplitRule::Folders => {
                let sides = [("train", path.join("train")), ("test", path.join("test"))];
                let mut parts = Vec::new();
                for (name, folder) in sides {
                    parts.push((name, Self::one_side(&folder)?));
                }
                Ok(Self::joined(parts))
            }
            rule => Ok(Self::two_sides(Split::load(path, Some(rule), true)?)),
        }
    }

    /// Whether the images have classes.
    pub fn is_labeled(&self) -> bool {
        self.class_names.len() > 1 || self.class_names.first().is_some_and(|name| !name.is_empty())
    }

    /// The class of an image.
    pub fn class(&self, index: usize) -> &str {
        self.items.get(index).and_then(|item| self.class_names.get(item.label as usize)).map_or("", String::as_str)
    }

    /// The side of the split of an image, if there is one.
    pub fn side_name(&self, index: usize) -> &'static str {
        self.side.get(index).and_then(|side| self.sides.get(*side)).copied().unwrap_or("")
    }

    /// A folder or CSV as a whole.
    fn one_side(path: &Path) -> Result<Self, DataError> {
        if path.is_file() {
            return Ok(Self::of_dataset(Dataset::from_csv(path)?));
        }
        match Dataset::from_folder(path) {
            Ok(dataset) => Ok(Self::of_dataset(dataset)),
            Err(DataError::NoClasses { loose_images, .. }) if loose_images > 0 => {
                Ok(Self::of_dataset(Dataset::unlabeled(path, image_files(path)?)))
            }
            Err(DataError::EmptyClasses { classes, .. }) => {
                let mut images = Self::of_dataset(by_first_folder(path)?);
                images.empty_classes = classes;
                Ok(images)
            }
            Err(error) => Err(error),
        }
    }

    fn of_dataset(dataset: Dataset) -> Self {
        Self {
            side: vec![0; dataset.items.len()],
            items: dataset.items,
            class_names: dataset.class_names,
            sides: Vec::new(),
            shared_classes: Vec::new(),
            empty_classes: Vec::new(),
        }
    }

    fn two_sides(split: Split) -> Self {
        Self::joined(vec![("train", Self::of_dataset(split.train)), ("test", Self::of_dataset(split.test))])
    }

    /// Classes of the same name become one.
    fn joined(parts: Vec<(&'static str, Self)>) -> Self {
        let names: BTreeSet<&String> = parts.iter().flat_map(|(_, part)| &part.class_names).collect();
        let class_names: Vec<String> = names.into_iter().cloned().collect();
        let numbers: BTreeMap<&str, u32> =
            class_names.iter().enumerate().map(|(number, name)| (name.as_str(), number as u32)).collect();
        let on = |name: &String| parts.iter().filter(|(_, part)| part.class_names.contains(name)).count();
        let shared_classes = class_names.iter().filter(|name| on(name) > 1).cloned().collect();
        let mut joined = Self {
            items: Vec::new(),
            side: Vec::new(),
            sides: parts.iter().map(|(name, _)| *name).collect(),
            shared_classes,
            empty_classes: Vec::new(),
            class_names: Vec::new(),
        };
        for (number, (side, part)) in parts.iter().enumerate() {
            for item in &part.items {
                let name = part.class_names.get(item.label as usize).map_or("", String::as_str);
                let label = numbers.get(name).copied().unwrap_or(0);
                joined.items.push(Item { label, ..item.clone() });
                joined.side.push(number);
            }
            joined.empty_classes.extend(part.empty_classes.iter().map(|name| format!("{side}/{name}")));
        }
        joined.class_names = class_names;
        joined
    }
}

/// Images by the folder right below `root`, for a data set with empty class folders.
fn by_first_folder(root: &Path) -> Result<Dataset, DataError> {
    let paths = image_files(root)?;
    let class = |path: &Path| -> Option<String> {
        let below = path.strip_prefix(root).ok()?;
        let first = below.components().next()?;
        (below.components().count() > 1).then(|| first.as_os_str().to_string_lossy().into_owned())
    };
    let names: BTreeSet<String> = paths.iter().filter_map(|path| class(path)).collect();
    let class_names: Vec<String> = names.into_iter().collect();
    let items = paths.into_iter().filter_map(|path| {
        let name = class(&path)?;
        let label = class_names.binary_search(&name).ok()? as u32;
        Some(Item { path, label, crop: None })
    });
    Ok(Dataset { root: root.to_owned(), items: items.collect(), class_names: class_names.clone() })
}
