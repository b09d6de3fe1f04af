//! Cars196 (Krause et al., 2013): all images in one folder with `cars_annos.mat`, or in two with the devkit's annotations.
//!
//! The publisher's own division into train and test is one of images; metric learning divides the classes instead, the
//! first 98 of them train.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::folder::read_error;
use super::super::mat_file::{MatValue, parse_mat_file};
use super::{Entry, Parts};
use crate::error::DataError;
use crate::transform::CropBox;

const FLAT: &str = "cars_annos.mat";

pub(super) fn is_at(root: &Path) -> bool {
    root.join(FLAT).is_file() || devkit_files(root).is_some()
}

pub(super) fn read(root: &Path) -> Result<Parts, DataError> {
    let mut entries = Vec::new();
    if root.join(FLAT).is_file() {
        let variables = variables(&root.join(FLAT))?;
        let names = class_names(&variables);
        entries.extend(annotations(&root.join(FLAT), &variables, "relative_im_path", root, &names)?);
    } else if let Some([train, test]) = devkit_files(root) {
        let meta =
            ["devkit/cars_meta.mat", "cars_meta.mat"].map(|name| root.join(name)).into_iter().find(|p| p.is_file());
        let names = meta.map(|path| variables(&path)).transpose()?.map_or_else(BTreeMap::new, |v| class_names(&v));
        for (path, folder) in [(train, "cars_train"), (test, "cars_test")] {
            // Some archives hold the folder twice, one inside the other.
            let nested = root.join(folder).join(folder);
            let folder = if nested.is_dir() { nested } else { root.join(folder) };
            entries.extend(annotations(&path, &variables(&path)?, "fname", &folder, &names)?);
        }
    }
    Ok(Parts::by_class(entries, 98))
}

/// The devkit's two lists. The one of the test images is published apart, so it may lie beside the devkit.
fn devkit_files(root: &Path) -> Option<[PathBuf; 2]> {
    let find = |name: &str| ["devkit", ""].map(|folder| root.join(folder).join(name)).into_iter().find(|p| p.is_file());
    Some([find("cars_train_annos.mat")?, find("cars_test_annos_withlabels.mat")?])
}

fn variables(path: &Path) -> Result<BTreeMap<String, MatValue>, DataError> {
    let bytes = fs::read(path).map_err(|source| read_error(path, source))?;
    let variables = parse_mat_file(&bytes).map_err(|reason| DataError::Annotation { path: path.to_owned(), reason })?;
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
    let refuse = |reason: String| DataError::Annotation { path: path.to_owned(), reason };
    let Some(MatValue::Records(fields, records)) = variables.get("annotations") else {
        return Err(refuse("no variable \"annotations\" with records".to_owned()));
    };
    let place = |name: &str| fields.iter().position(|field| field == name);
    let needed =
        |name: &str| place(name).ok_or_else(|| refuse(format!("no field {name:?} (found: {})", fields.join(", "))));
    let (file, class) = (needed(file_field)?, needed("class")?);
    let edges = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"].map(place);
    let mut entries = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(records) {
        let wrong = |what: &str| refuse(format!("record {number}: {what}"));
        let name = record[file].as_text().ok_or_else(|| wrong("the file's name is no text"))?;
        let class = record[class].as_number().filter(|class| *class >= 1.0 && class.fract() == 0.0);
        let class = class.ok_or_else(|| wrong("the class is no number from 1 up"))? as u64;
        let class_name = names.get(&class).cloned().unwrap_or_else(|| format!("class {class}"));
        let mut entry = Entry::new(folder.join(name), (class, class_name));
        if let [Some(x1), Some(y1), Some(x2), Some(y2)] = edges.map(|edge| record[edge?].as_number()) {
            // MATLAB counts pixels from 1 and includes the last one.
            let (left, top) = ((x1 - 1.0).max(0.0) as u32, (y1 - 1.0).max(0.0) as u32);
            let (right, bottom) = (x2.max(0.0) as u32, y2.max(0.0) as u32);
            entry.crop = Some(CropBox {
                left,
                top,
                width: right.saturating_sub(left).max(1),
                height: bottom.saturating_sub(top).max(1),
            });
        }
        entries.push(entry);
    }
    Ok(entries)
}
