//! In-Shop Clothes Retrieval of DeepFashion (Liu et al., 2016): `list_eval_partition.txt` with a count, a header, and lines
//! of `image_name item_id evaluation_status`, the last being `train`, `query` or `gallery`.

use std::path::{Path, PathBuf};

use super::lines::lines;
use super::{Entry, Parts, Publication};
use crate::dataset::protocol::Role;
use crate::error::DataError;

pub(super) const PUBLICATION: Publication = Publication {
    name: "in_shop",
    title: "In-Shop Clothes Retrieval",
    spellings: &["inshop", "deepfashion"],
    folders: &["In-shop", "In_shop", "inshop", "In-shop Clothes Retrieval Benchmark"],
    files: "list_eval_partition.txt (or Eval/list_eval_partition.txt) and img/ (or Img/img/)",
    published: &[("train", 25_882, 3_997), ("query", 14_218, 3_985), ("gallery", 12_612, 3_985)],
    is_at: |root| list(root).is_some(),
    read,
};

fn list(root: &Path) -> Option<PathBuf> {
    let paths = ["", "Eval", "Anno"].map(|folder| root.join(folder).join("list_eval_partition.txt"));
    paths.into_iter().find(|path| path.is_file())
}

fn read(root: &Path) -> Result<Parts, DataError> {
    let mut parts = Parts::default();
    let Some(path) = list(root) else { return Ok(parts) };
    // Names begin with img/, a folder that the archive puts into Img/.
    let images = if root.join("Img/img").is_dir() { root.join("Img") } else { root.to_owned() };
    for line in lines(&path, 3)? {
        let [file, item, status] = line.fields()?;
        let entry = Entry::new(images.join(file), (0, item.to_owned()));
        let role = Role { query: status == "query", gallery: status == "gallery" };
        match status {
            "train" => parts.train.push(entry),
            "query" | "gallery" => parts.test.push(Entry { role, ..entry }),
            other => {
                let reason = format!("evaluation_status is {other:?}, expected train, query or gallery");
                return Err(line.refuse(reason));
            }
        }
    }
    Ok(parts)
}
