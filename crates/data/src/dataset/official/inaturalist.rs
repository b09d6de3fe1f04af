//! iNaturalist 2018 (Van Horn et al., 2018) as metric learning divides it.
//!
//! The lists `Inaturalist_train_set1.txt` and `Inaturalist_test_set1.txt` (Brown et al., "Smooth-AP", 2020) name one picture a
//! line, `train_val2018/SUPER_CLASS/CLASS/IMAGE.jpg`; a class is the two folders. Without the lists, the publisher's own
//! annotations `train2018.json` and `val2018.json` give the pictures, and the first half of the classes trains.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::folder::read_error;
use super::lines::{lines, refuse};
use super::{Entry, Parts};
use crate::error::DataError;

const LISTS: [&str; 2] = ["Inaturalist_train_set1.txt", "Inaturalist_test_set1.txt"];
const ANNOTATIONS: [&str; 2] = ["train2018.json", "val2018.json"];

pub(super) fn is_at(root: &Path) -> bool {
    list_files(root).is_some() || root.join(ANNOTATIONS[0]).is_file()
}

fn list_files(root: &Path) -> Option<[PathBuf; 2]> {
    ["Inat_dataset_splits", ""].into_iter().find_map(|folder| {
        let paths = LISTS.map(|name| root.join(folder).join(name));
        paths.iter().all(|path| path.is_file()).then_some(paths)
    })
}

pub(super) fn read(root: &Path) -> Result<Parts, DataError> {
    if let Some([train, test]) = list_files(root) {
        return Ok(Parts { train: side(root, &train)?, test: side(root, &test)? });
    }
    let mut entries = Vec::new();
    for name in ANNOTATIONS {
        let path = root.join(name);
        if path.is_file() {
            entries.extend(annotated(root, &path)?);
        }
    }
    let classes = entries.iter().map(|entry| &entry.class).collect::<std::collections::BTreeSet<_>>().len();
    Ok(Parts::by_class(entries, classes / 2))
}

fn side(root: &Path, list: &Path) -> Result<Vec<Entry>, DataError> {
    let mut entries = Vec::new();
    for (line, text) in lines(list, 1)? {
        let entry = entry(root, &text).ok_or_else(|| {
            refuse(list, line, format!("{text:?} is not a path as train_val2018/SUPER_CLASS/CLASS/IMAGE.jpg"))
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

/// A picture whose two folders name its class.
fn entry(root: &Path, file: &str) -> Option<Entry> {
    let parts: Vec<&str> = file.split('/').collect();
    let [.., super_class, class, _] = parts[..] else { return None };
    let mut entry = Entry::new(root.join(file), (0, format!("{super_class}/{class}")));
    entry.group = Some(super_class.to_owned());
    Some(entry)
}

#[derive(Deserialize)]
struct Annotations {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
}

fn annotated(root: &Path, path: &Path) -> Result<Vec<Entry>, DataError> {
    let refuse = |reason: String| DataError::Annotation { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    let parsed: Annotations =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| refuse(error.to_string()))?;
    let category: std::collections::BTreeMap<u64, u64> =
        parsed.annotations.iter().map(|annotation| (annotation.image_id, annotation.category_id)).collect();
    let mut entries = Vec::with_capacity(parsed.images.len());
    for image in parsed.images {
        let Some(category) = category.get(&image.id) else {
            return Err(refuse(format!("image {} ({}) has no annotation", image.id, image.file_name)));
        };
        let mut entry = entry(root, &image.file_name).ok_or_else(|| {
            refuse(format!("{:?} is not a path as train_val2018/SUPER_CLASS/CLASS/IMAGE.jpg", image.file_name))
        })?;
        // The category is the truth; the folders give it a name.
        entry.class.0 = *category;
        entries.push(entry);
    }
    Ok(entries)
}
