//! In-Shop Clothes Retrieval of DeepFashion (Liu et al., 2016): `list_eval_partition.txt`, a count, a line of headings, then
//! `image_name item_id evaluation_status`, the last being `train`, `query` or `gallery`.

use std::path::{Path, PathBuf};

use super::lines::{fields, lines, refuse};
use super::{Entry, Parts};
use crate::dataset::protocol::Role;
use crate::error::DataError;

pub(super) fn is_at(root: &Path) -> bool {
    list(root).is_some()
}

fn list(root: &Path) -> Option<PathBuf> {
    ["list_eval_partition.txt", "Eval/list_eval_partition.txt", "Anno/list_eval_partition.txt"]
        .map(|name| root.join(name))
        .into_iter()
        .find(|path| path.is_file())
}

pub(super) fn read(root: &Path) -> Result<Parts, DataError> {
    let mut parts = Parts::default();
    let Some(path) = list(root) else { return Ok(parts) };
    // Names begin with img/; the archive puts that folder into Img/.
    let images = if root.join("Img/img").is_dir() { root.join("Img") } else { root.to_owned() };
    for (line, text) in lines(&path, 3)? {
        let [file, item, status] = fields(&path, line, &text)?;
        let mut entry = Entry::new(images.join(file), (0, item.to_owned()));
        match status {
            "train" => parts.train.push(entry),
            "query" | "gallery" => {
                entry.role = Role { query: status == "query", gallery: status == "gallery" };
                parts.test.push(entry);
            }
            other => {
                let reason = format!("evaluation_status is {other:?}, expected train, query or gallery");
                return Err(refuse(&path, line, reason));
            }
        }
    }
    Ok(parts)
}
