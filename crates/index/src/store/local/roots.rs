//! The folders that images were indexed from, each kept once, so that a folder can be moved without touching its images.
//!
//! A payload names its root by number. Ids are made from the root's `key`, which never changes: after a move, the same image
//! has the same id. The pictures that were added through the server lie inside the index; their root has no folder of its
//! own and goes wherever the index goes.

use std::path::{Path, PathBuf};

use crate::payload::{Payload, Value, fields};
use crate::point::PointId;

/// The folder of added pictures in an index.
const UPLOADS: &str = "uploads";

/// Where the pictures that are added to the index at `index` are kept: the field `root` of such an image, canonical where the
/// folder exists.
pub fn uploads_root(index: &Path) -> PathBuf {
    let folder = index.join(UPLOADS);
    let of_index = || index.canonicalize().map(|index| index.join(UPLOADS));
    folder.canonicalize().or_else(|_| of_index()).unwrap_or(folder)
}

/// The roots of an index as of one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Roots {
    pub rows: Vec<Root>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Root {
    pub number: i64,
    /// What ids are made from.
    pub key: String,
    /// Where it is now.
    pub folder: String,
    /// Whether it is the index's own folder of uploads.
    pub is_uploads: bool,
}

impl Roots {
    /// The root with this folder.
    pub fn at(&self, folder: &str) -> Option<&Root> {
        self.rows.iter().find(|root| root.folder == folder)
    }

    /// The root at `folder`, or the one that it will get.
    pub fn at_or_new(&self, folder: &str, index: &Path) -> Root {
        if let Some(root) = self.at(folder) {
            return root.clone();
        }
        let is_uploads = Path::new(folder) == uploads_root(index);
        let wanted = if is_uploads { UPLOADS } else { folder };
        // A root that was moved away still has the key of the place where it was.
        let taken = |key: &str| self.rows.iter().any(|root| root.key == key);
        let mut keys = std::iter::once(wanted.to_owned()).chain((2..).map(|n| format!("{wanted} ({n})")));
        let key = keys.find(|key| !taken(key)).unwrap_or_default();
        let number = self.rows.iter().map(|root| root.number).max().unwrap_or(0) + 1;
        Root { number, key, folder: folder.to_owned(), is_uploads }
    }

    /// Writes the folder in place of the root's number. Format 1 has the folder there already.
    pub fn resolve(&self, payload: &mut Payload) {
        if let Some(root) = payload.get_mut(fields::ROOT) {
            *root = self.folder_of(root);
        }
    }

    /// The folder for the value of a field `root` as it is stored.
    pub fn folder_of(&self, stored: &Value) -> Value {
        let numbered = |number: f64| self.rows.iter().find(|root| root.number as f64 == number);
        match stored.number().and_then(numbered) {
            Some(root) => Value::from(root.folder.as_str()),
            None => stored.clone(),
        }
    }
}

impl Root {
    /// The id of the image at `path` below it.
    pub fn id_of(&self, path: &str) -> PointId {
        PointId::of_path(&self.key, path)
    }
}
