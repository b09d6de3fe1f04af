//! iNaturalist 2018 (Van Horn et al., 2018) as metric learning splits it.
//!
//! The lists `Inaturalist_train_set1.txt` and `Inaturalist_test_set1.txt` (Brown et al., "Smooth-AP", 2020) name one image
//! per line, `train_val2018/SUPER_CLASS/CLASS/IMAGE.jpg`; both folders together are the class. Without them, the images come
//! from the publisher's `train2018.json` and `val2018.json`, and the first half of the classes trains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::folder::read_error;
use super::lines::lines;
use super::{Entry, Parts, Publication};
use crate::error::DataError;

pub(super) const PUBLICATION: Publication = Publication {
    name: "inaturalist",
    title: "iNaturalist 2018",
    spellings: &["inaturalist2018", "inat", "inat2018"],
    folders: &["Inaturalist", "inaturalist", "iNaturalist"],
    files: "train_val2018/ with Inat_dataset_splits/Inaturalist_train_set1.txt and Inaturalist_test_set1.txt, or with train2018.json",
    published: &[("train", 325_846, 5_690), ("test", 136_093, 2_452)],
    is_at: |root| list_files(root).is_some() || root.join(ANNOTATIONS[0]).is_file(),
    read,
};

const LISTS: [&str; 2] = ["Inaturalist_train_set1.txt", "Inaturalist_test_set1.txt"];
const ANNOTATIONS: [&str; 2] = ["train2018.json", "val2018.json"];

fn list_files(root: &Path) -> Option<[PathBuf; 2]> {
    let mut folders =
        ["Inat_dataset_splits", ""].map(|folder| LISTS.map(|name| root.join(folder).join(name))).into_iter();
    folders.find(|paths| paths.iter().all(|path| path.is_file()))
}

fn read(root: &Path) -> Result<Parts, DataError> {
    if let Some([train, test]) = list_files(root) {
        return Ok(Parts { train: side(root, &train)?, test: side(root, &test)? });
    }
    let mut entries = Vec::new();
    for path in ANNOTATIONS.map(|name| root.join(name)).into_iter().filter(|path| path.is_file()) {
        entries.extend(annotated(root, &path)?);
    }
    let classes = entries.iter().map(|entry| &entry.class).collect::<BTreeSet<_>>().len();
    Ok(Parts::by_class(entries, classes / 2))
}

fn side(root: &Path, list: &Path) -> Result<Vec<Entry>, DataError> {
    lines(list, 1)?.iter().map(|line| entry(root, &line.text).map_err(|reason| line.refuse(reason))).collect()
}

/// An image whose two folders name its class.
fn entry(root: &Path, file: &str) -> Result<Entry, String> {
    let parts: Vec<&str> = file.split('/').collect();
    let [.., super_class, class, _] = parts[..] else {
        return Err(format!("{file:?}, expected a path such as train_val2018/SUPER_CLASS/CLASS/IMAGE.jpg"));
    };
    let entry = Entry::new(root.join(file), (0, format!("{super_class}/{class}")));
    Ok(Entry { group: Some(super_class.to_owned()), ..entry })
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
    let refuse = |reason: String| DataError::Malformed { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    let parsed: Annotations =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| refuse(error.to_string()))?;
    let category: BTreeMap<u64, u64> =
        parsed.annotations.iter().map(|annotation| (annotation.image_id, annotation.category_id)).collect();
    let entry = |image: &Image| {
        let mut entry = entry(root, &image.file_name)?;
        // The annotated category is authoritative; the folders only name it.
        entry.class.0 = *category
            .get(&image.id)
            .ok_or_else(|| format!("image {} ({}) has no annotation", image.id, image.file_name))?;
        Ok(entry)
    };
    parsed.images.iter().map(entry).collect::<Result<_, _>>().map_err(refuse)
}
