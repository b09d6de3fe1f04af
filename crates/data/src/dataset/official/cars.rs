//! Cars196 (Krause et al., 2013): all images in one folder with `cars_annos.mat`, or in two with the devkit's annotations.
//!
//! The publisher divides images into train and test; metric learning divides classes instead: the first 98 train.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::folder::read_error;
use super::super::mat_file::{MatValue, parse_mat_file};
use super::{Entry, Parts, Publication};
use crate::crop_box::CropBox;
use crate::error::DataError;

pub(super) const PUBLICATION: Publication = Publication {
    name: "cars",
    title: "Cars196",
    spellings: &["cars196", "stanfordcars"],
    folders: &["stanford_cars", "cars", "cars196", "CARS"],
    files: "cars_annos.mat and car_ims/; or devkit/cars_train_annos.mat, cars_test_annos_withlabels.mat, cars_train/ and cars_test/",
    published: &[("train", 8_054, 98), ("test", 8_131, 98)],
    is_at: |root| root.join(FLAT).is_file() || devkit_files(root).is_some(),
    read,
};

const FLAT: &str = "cars_annos.mat";

fn read(root: &Path) -> Result<Parts, DataError> {
    let mut entries = Vec::new();
    if root.join(FLAT).is_file() {
        let variables = variables(&root.join(FLAT))?;
        let names = class_names(&variables);
        entries.extend(annotations(&root.join(FLAT), &variables, "relative_im_path", root, &names)?);
    } else if let Some([train, test]) = devkit_files(root) {
        let meta = devkit_file(root, "cars_meta.mat").map(|path| variables(&path)).transpose()?.unwrap_or_default();
        for (path, folder) in [(train, "cars_train"), (test, "cars_test")] {
            // Some archives hold the folder twice, one inside the other.
            let nested = root.join(folder).join(folder);
            let folder = if nested.is_dir() { nested } else { root.join(folder) };
            entries.extend(annotations(&path, &variables(&path)?, "fname", &folder, &class_names(&meta))?);
        }
    }
    Ok(Parts::by_class(entries, 98))
}

/// The devkit's two lists. The test list is published separately, so it may lie next to the devkit.
fn devkit_files(root: &Path) -> Option<[PathBuf; 2]> {
    Some([devkit_file(root, "cars_train_annos.mat")?, devkit_file(root, "cars_test_annos_withlabels.mat")?])
}

fn devkit_file(root: &Path, name: &str) -> Option<PathBuf> {
    ["devkit", ""].map(|folder| root.join(folder).join(name)).into_iter().find(|path| path.is_file())
}

fn variables(path: &Path) -> Result<BTreeMap<String, MatValue>, DataError> {
    let bytes = fs::read(path).map_err(|source| read_error(path, source))?;
    let variables = parse_mat_file(&bytes).map_err(|reason| DataError::Malformed { path: path.to_owned(), reason })?;
    Ok(variables.into_iter().collect())
}

/// Names by class number, from 1.
fn class_names(variables: &BTreeMap<String, MatValue>) -> BTreeMap<u64, String> {
    match variables.get("class_names") {
        Some(MatValue::Cells(cells)) => {
            (1..).zip(cells).filter_map(|(class, cell)| Some((class, cell.as_text()?.to_owned()))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn annotations(
    path: &Path,
    variables: &BTreeMap<String, MatValue>,
    file_field: &str,
    folder: &Path,
    names: &BTreeMap<u64, String>,
) -> Result<Vec<Entry>, DataError> {
    let refuse = |reason: String| DataError::Malformed { path: path.to_owned(), reason };
    let Some(MatValue::Records(fields, records)) = variables.get("annotations") else {
        return Err(refuse("no variable \"annotations\" of records".to_owned()));
    };
    let place = |name: &str| fields.iter().position(|field| field == name);
    let needed =
        |name: &str| place(name).ok_or_else(|| refuse(format!("no field {name:?} (found: {})", fields.join(", "))));
    let (file, class) = (needed(file_field)?, needed("class")?);
    let edges = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"].map(place);
    let mut entries = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(records) {
        let wrong = |what: &str| refuse(format!("record {number}: {what}"));
        let name = record[file].as_text().ok_or_else(|| wrong("the file name is not text"))?;
        let class = record[class].as_number().filter(|class| *class >= 1.0 && class.fract() == 0.0);
        let class = class.ok_or_else(|| wrong("the class is not a whole number from 1"))? as u64;
        let class_name = names.get(&class).cloned().unwrap_or_else(|| format!("class {class}"));
        let mut entry = Entry::new(folder.join(name), (class, class_name));
        if let [Some(x1), Some(y1), Some(x2), Some(y2)] = edges.map(|edge| record[edge?].as_number()) {
            // MATLAB counts pixels from 1 and includes the last one.
            let span = |first: f64, last: f64| {
                let start = (first - 1.0).max(0.0) as u32;
                (start, (last.max(0.0) as u32).saturating_sub(start).max(1))
            };
            let ((left, width), (top, height)) = (span(x1, x2), span(y1, y2));
            entry.crop = Some(CropBox { top, left, height, width });
        }
        entries.push(entry);
    }
    Ok(entries)
}
