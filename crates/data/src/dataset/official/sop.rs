//! Stanford Online Products (Song et al., 2016): `Ebay_train.txt` and `Ebay_test.txt`, lines of
//! `image_id class_id super_class_id path` below a header.

use std::path::Path;

use super::lines::lines;
use super::{Entry, Parts, Publication};
use crate::error::DataError;

pub(super) const PUBLICATION: Publication = Publication {
    name: "sop",
    title: "Stanford Online Products",
    spellings: &["stanfordonlineproducts"],
    folders: &["Stanford_Online_Products"],
    files: "Ebay_train.txt and Ebay_test.txt",
    published: &[("train", 59_551, 11_318), ("test", 60_502, 11_316)],
    is_at: |root| root.join("Ebay_train.txt").is_file() && root.join("Ebay_test.txt").is_file(),
    read: |root| Ok(Parts { train: side(root, "Ebay_train.txt")?, test: side(root, "Ebay_test.txt")? }),
};

fn side(root: &Path, list: &str) -> Result<Vec<Entry>, DataError> {
    let path = root.join(list);
    let mut entries = Vec::new();
    for line in lines(&path, 2)? {
        let [_, class, _, file] = line.fields()?;
        let class = line.number(class)?;
        let super_class = file.split('/').next().unwrap_or_default().trim_end_matches("_final").to_owned();
        let entry = Entry::new(root.join(file), (class, format!("{super_class} {class}")));
        entries.push(Entry { group: Some(super_class), ..entry });
    }
    Ok(entries)
}
