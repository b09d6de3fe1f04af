//! What writes to an index: the lock, the descriptors of its files, and the certainty that they are still those at its path.

use std::path::{Path, PathBuf};

use kinsight_files::Lock;

use crate::calibration::Calibration;
use crate::error::{IndexError, Result};
use crate::folder::Index;
use crate::manifest::Manifest;
use crate::payload::Payload;
use crate::point::{Point, PointId};
use crate::store::{Cursor, StoreWriter};

/// Writes to an index, for as long as it lives the only one that does.
///
/// It writes to the files that it opened. Where another index was put in their place, every method fails with
/// [`IndexError::Replaced`]: nothing is written into that other index, and no write is acknowledged that would be lost.
pub struct IndexWriter<'a> {
    index: &'a Index,
    manifest: Manifest,
    store: StoreWriter,
    _lock: Lock,
}

impl<'a> IndexWriter<'a> {
    pub(crate) fn new(index: &'a Index, manifest: Manifest, store: StoreWriter, lock: Lock) -> Self {
        Self { index, manifest, store, _lock: lock }
    }

    /// The index.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    /// The manifest, in the current format.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Puts points in, in place of those with the same ids. All of them are on the disk when it returns, and none if it
    /// fails.
    ///
    /// # Errors
    /// A vector of another width or not of length one, or a failure to write.
    pub fn upsert(&self, points: &[Point]) -> Result<()> {
        self.index.require_in_place()?;
        self.store.upsert(points)
    }

    /// Takes points out; returns how many there were.
    ///
    /// # Errors
    /// A failure to write; then none is taken out.
    pub fn remove(&self, ids: &[PointId]) -> Result<usize> {
        self.index.require_in_place()?;
        self.store.remove(ids)
    }

    /// Keeps what scores mean; `None` forgets it.
    ///
    /// # Errors
    /// A failure to write.
    pub fn set_calibration(&self, calibration: Option<Calibration>) -> Result<()> {
        self.index.require_in_place()?;
        Manifest { calibration, ..self.manifest.clone() }.write(self.index.path())
    }

    /// Makes, extends or measures the graph where that is worth it.
    ///
    /// # Errors
    /// A failure to write.
    pub fn optimize(&self, progress: &dyn Fn(usize, usize)) -> Result<()> {
        let is_in_place = || self.index.require_in_place().map(|_| ());
        is_in_place()?;
        self.store.optimize(self.index.local(), &is_in_place, progress)
    }

    /// Says that the images indexed from `old`, or from folders in it, are in `new` now; returns how many. Their ids stay.
    ///
    /// # Errors
    /// [`IndexError::Setting`] if no image was indexed from `old`, if images were indexed from `new`, too, or, unless `force`
    /// is set, if not all of them are there.
    pub fn relocate(&self, old: &Path, new: &Path, force: bool) -> Result<usize> {
        self.index.require_in_place()?;
        let store = self.index.local();
        // A folder that is there is named as indexing names it; of one that is gone, what can be known is its folder.
        let canonical = |path: &Path| {
            let gone = |_| std::path::absolute(path).map(|path| path.components().collect());
            path.canonicalize().or_else(gone).unwrap_or_else(|_| path.to_owned())
        };
        let (old, new) = (canonical(old), canonical(new));
        let moves = store.moved_roots(&old, &new)?;
        let roots = self.index.roots()?;
        if moves.is_empty() {
            let known: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            let expected = format!("a folder that images were indexed from: {}", known.join(", "));
            return Err(IndexError::setting("the old folder", old.display(), expected));
        }
        let taken =
            |folder: &str| roots.iter().any(|root| root.as_path() == Path::new(folder) && !root.starts_with(&old));
        if let Some((_, folder)) = moves.iter().find(|(_, folder)| taken(folder)) {
            let expected = format!(
                "a folder that no image was indexed from; take those out first: kinsight index remove --where \"root = '{folder}'\""
            );
            return Err(IndexError::setting("the new folder", folder, expected));
        }
        let (mut images, mut missing) = (0, Vec::new());
        let mut cursor = Some(Cursor::default());
        while let Some(start) = cursor {
            let (points, next) = self.index.store().scroll(start, 1024, None, &crate::Cancel::new())?;
            for file in points.iter().map(|point| file_of(&point.payload)) {
                let Ok(below) = file.strip_prefix(&old) else { continue };
                images += 1;
                let file = new.join(below);
                if !force && !file.is_file() {
                    missing.push(file);
                }
            }
            cursor = next;
        }
        if let Some(first) = missing.first() {
            let found = format!("without {} of the {images} images, as {}", missing.len(), first.display());
            return Err(IndexError::setting("the new folder", found, "all images; --force re-points it nevertheless"));
        }
        self.store.relocate(&moves)?;
        Ok(images)
    }
}

/// The file that an image was indexed from.
pub fn file_of(payload: &Payload) -> PathBuf {
    use crate::payload::fields;
    let text = |name: &str| payload.get(name).map(|value| value.text()).unwrap_or_default();
    Path::new(&text(fields::ROOT)).join(text(fields::PATH))
}
