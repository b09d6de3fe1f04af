//! CUB-200-2011 (Wah et al., 2011): `images.txt`, `image_class_labels.txt`, and beside them `classes.txt` and
//! `bounding_boxes.txt` where they are.

use std::collections::BTreeMap;
use std::path::Path;

use super::lines::{fields, lines, number, refuse};
use super::{Entry, Parts};
use crate::error::DataError;
use crate::transform::CropBox;

pub(super) fn is_at(root: &Path) -> bool {
    root.join("images.txt").is_file() && root.join("image_class_labels.txt").is_file()
}

pub(super) fn read(root: &Path) -> Result<Parts, DataError> {
    let labels_path = root.join("image_class_labels.txt");
    let mut class_of = BTreeMap::new();
    for (line, text) in lines(&labels_path, 1)? {
        let [image, class] = fields(&labels_path, line, &text)?;
        class_of.insert(number(&labels_path, line, image)?, number(&labels_path, line, class)?);
    }
    let classes_path = root.join("classes.txt");
    let mut names = BTreeMap::new();
    if classes_path.is_file() {
        for (line, text) in lines(&classes_path, 1)? {
            let [class, name] = fields(&classes_path, line, &text)?;
            names.insert(number(&classes_path, line, class)?, name.to_owned());
        }
    }
    let boxes = read_boxes(root)?;
    let images_path = root.join("images.txt");
    let mut entries = Vec::new();
    for (line, text) in lines(&images_path, 1)? {
        let [image, file] = fields(&images_path, line, &text)?;
        let image = number(&images_path, line, image)?;
        let class = *class_of.get(&image).ok_or_else(|| {
            refuse(&images_path, line, format!("image {image} has no class in image_class_labels.txt"))
        })?;
        // The folder carries the class's name as well.
        let folder = || file.split('/').next().unwrap_or_default().to_owned();
        let mut entry =
            Entry::new(root.join("images").join(file), (class, names.get(&class).cloned().unwrap_or_else(folder)));
        entry.crop = boxes.get(&image).copied();
        entries.push(entry);
    }
    Ok(Parts::by_class(entries, 100))
}

fn read_boxes(root: &Path) -> Result<BTreeMap<u64, CropBox>, DataError> {
    let path = root.join("bounding_boxes.txt");
    let mut boxes = BTreeMap::new();
    if !path.is_file() {
        return Ok(boxes);
    }
    for (line, text) in lines(&path, 1)? {
        let [image, edges @ ..]: [&str; 5] = fields(&path, line, &text)?;
        let edge = |text: &str| {
            let value = text.parse::<f64>().ok().filter(|value| (0.0..=1e9).contains(value));
            value.ok_or_else(|| refuse(&path, line, format!("{text:?} is no number of pixels")))
        };
        let [x, y, width, height] = edges;
        let crop = CropBox {
            left: edge(x)?.floor() as u32,
            top: edge(y)?.floor() as u32,
            width: (edge(width)?.ceil() as u32).max(1),
            height: (edge(height)?.ceil() as u32).max(1),
        };
        boxes.insert(number(&path, line, image)?, crop);
    }
    Ok(boxes)
}
