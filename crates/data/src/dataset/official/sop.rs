//! Stanford Online Products (Song et al., 2016): `Ebay_train.txt` and `Ebay_test.txt`, each line
//! `image_id class_id super_class_id path`, under a line of headings.

use std::path::Path;

use super::lines::{fields, lines, number};
use super::{Entry, Parts};
use crate::error::DataError;

pub(super) fn is_at(root: &Path) -> bool {
    root.join("Ebay_train.txt").is_file() && root.join("Ebay_test.txt").is_file()
}

pub(super) fn read(root: &Path) -> Result<Parts, DataError> {
    Ok(Parts { train: side(root, "Ebay_train.txt")?, test: side(root, "Ebay_test.txt")? })
}

fn side(root: &Path, list: &str) -> Result<Vec<Entry>, DataError> {
    let path = root.join(list);
    let mut entries = Vec::new();
    for (line, text) in lines(&path, 2)? {
        let [_, class, _, file] = fields(&path, line, &text)?;
        let class = number(&path, line, class)?;
        let super_class = file.split('/').next().unwrap_or_default().trim_end_matches("_final").to_owned();
        let mut entry = Entry::new(root.join(file), (class, format!("{super_class} {class}")));
        entry.group = Some(super_class);
        entries.push(entry);
    }
    Ok(entries)
}
