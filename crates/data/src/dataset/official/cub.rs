//! CUB-200-2011 (Wah et al., 2011): `images.txt` and `image_class_labels.txt`, with optional `classes.txt` and
//! `bounding_boxes.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use super::lines::lines;
use super::{Entry, Parts, Publication};
use crate::crop_box::CropBox;
use crate::error::DataError;

pub(super) const PUBLICATION: Publication = Publication {
    name: "cub",
    title: "CUB-200-2011",
    spellings: &["cub200", "cub2002011"],
    folders: &["CUB_200_2011"],
    files: "images.txt, image_class_labels.txt and images/",
    published: &[("train", 5_864, 100), ("test", 5_924, 100)],
    is_at: |root| root.join("images.txt").is_file() && root.join("image_class_labels.txt").is_file(),
    read,
};

fn read(root: &Path) -> Result<Parts, DataError> {
    let labels_path = root.join("image_class_labels.txt");
    let mut class_of = BTreeMap::new();
    for line in lines(&labels_path, 1)? {
        let [image, class] = line.fields()?;
        class_of.insert(line.number(image)?, line.number(class)?);
    }
    let classes_path = root.join("classes.txt");
    let mut names = BTreeMap::new();
    if classes_path.is_file() {
        for line in lines(&classes_path, 1)? {
            let [class, name] = line.fields()?;
            names.insert(line.number(class)?, name.to_owned());
        }
    }
    let boxes = read_boxes(root)?;
    let images_path = root.join("images.txt");
    let mut entries = Vec::new();
    for line in lines(&images_path, 1)? {
        let [image, file] = line.fields()?;
        let image = line.number(image)?;
        let no_class = || line.refuse(format!("image {image} has no class in image_class_labels.txt"));
        let class = *class_of.get(&image).ok_or_else(no_class)?;
        // The image's folder bears the class's name, too.
        let folder = || file.split('/').next().unwrap_or_default().to_owned();
        let name = names.get(&class).cloned().unwrap_or_else(folder);
        let entry = Entry::new(root.join("images").join(file), (class, name));
        entries.push(Entry { crop: boxes.get(&image).copied(), ..entry });
    }
    Ok(Parts::by_class(entries, 100))
}

fn read_boxes(root: &Path) -> Result<BTreeMap<u64, CropBox>, DataError> {
    let path = root.join("bounding_boxes.txt");
    let mut boxes = BTreeMap::new();
    if !path.is_file() {
        return Ok(boxes);
    }
    for line in lines(&path, 1)? {
        let [image, edges @ ..]: [&str; 5] = line.fields()?;
        let edge = |text: &str| {
            let value = text.parse::<f64>().ok().filter(|value| (0.0..=1e9).contains(value));
            value.ok_or_else(|| line.refuse(format!("{text:?}, expected a number of pixels")))
        };
        let [x, y, width, height] = edges;
        let crop = CropBox {
            left: edge(x)?.floor() as u32,
            top: edge(y)?.floor() as u32,
            width: (edge(width)?.ceil() as u32).max(1),
            height: (edge(height)?.ceil() as u32).max(1),
        };
        boxes.insert(line.number(image)?, crop);
    }
    Ok(boxes)
}
