//! The one who writes: descriptors that it opened once and keeps, whatever comes to lie at their paths.
//!
//! Durability is SQLite's. A write first appends its vectors to the file beyond the rows that the catalog counts, and syncs;
//! then one transaction makes them exist. A crash in between leaves uncommitted rows past the committed length; the next
//! write overwrites them. A committed row never changes: a replaced or removed point leaves a tombstone, which
//! [`compact`](crate::compact) leaves behind.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::changes::{self, CatalogWriter};
use super::roots::{Root, Roots};
use super::rows::{self, RowsWriter};
use super::{LocalStore, building, catalog_path, is_unit, length, rows_path};
use crate::error::{IndexError, Result};
use crate::point::{Point, PointId};

/// Writes to a store; the caller holds the index's lock.
pub(crate) struct StoreWriter {
    folder: PathBuf,
    dim: usize,
    open: Mutex<Open>,
}

struct Open {
    rows: RowsWriter,
    catalog: CatalogWriter,
}

impl StoreWriter {
    /// Makes an empty store in `folder`, which must exist, for the index with this identity. Its revisions begin after
    /// `revision`.
    pub fn create(folder: &Path, dim: usize, identity: &str, revision: u64) -> Result<()> {
        RowsWriter::create(&rows_path(folder), dim)?;
        CatalogWriter::create(&catalog_path(folder), identity, revision)?;
        Ok(kinsight_files::sync_folder(folder)?)
    }

    /// Opens the store in `folder`, of the index at `index`.
    pub fn open(folder: &Path, index: &Path) -> Result<Self> {
        let rows = RowsWriter::open(&rows_path(folder))?;
        let catalog = CatalogWriter::open(&catalog_path(folder), index)?;
        Ok(Self { folder: folder.to_owned(), dim: rows.dim, open: Mutex::new(Open { rows, catalog }) })
    }

    fn open_files(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the catalog of the store in `folder` in one file, where that can be done without waiting.
    pub fn tidy(folder: &Path) {
        // Reading works without it, too, but for read-only media.
        let _ = changes::fold_log(&catalog_path(folder));
    }

    /// Brings a store of an older format to this one; returns the identity that it has.
    pub fn upgrade(&self) -> Result<String> {
        self.open_files().catalog.upgrade()
    }

    /// Puts points in, in place of those with the same ids. All of them are on the disk when it returns, and none if it
    /// fails.
    pub fn upsert(&self, points: &[Point]) -> Result<()> {
        self.require_fit(points)?;
        if points.is_empty() {
            return Ok(());
        }
        let open = &mut *self.open_files();
        let first = open.catalog.rows()?;
        open.rows.append(first, points.iter().map(|point| point.vector.as_slice()))?;
        let checksums = points.iter().map(|point| rows::checksum(&point.vector));
        open.catalog.insert(first, points, checksums)
    }

    /// Takes points out; returns how many there were.
    pub fn remove(&self, ids: &[PointId]) -> Result<usize> {
        self.open_files().catalog.remove(ids)
    }

    /// Points roots at other folders.
    pub fn relocate(&self, moves: &[(Root, String)]) -> Result<()> {
        self.open_files().catalog.relocate(moves)
    }

    /// Takes over the roots of the generation that this one is to replace.
    pub fn take_roots(&self, roots: &Roots) -> Result<()> {
        self.open_files().catalog.take_roots(roots)
    }

    /// Makes, extends or measures the graph where that is worth it. `is_in_place` is asked before a file is written.
    pub fn optimize(
        &self,
        store: &LocalStore,
        is_in_place: &dyn Fn() -> Result<()>,
        progress: &dyn Fn(usize, usize),
    ) -> Result<()> {
        let view = store.view()?;
        if building::bring_up_to_date(&self.folder, store.settings(), &view, is_in_place, progress)? {
            // A revision tells other processes to look.
            self.open_files().catalog.bump_revision()?;
        }
        Ok(())
    }

    fn require_fit(&self, points: &[Point]) -> Result<()> {
        for point in points {
            if point.vector.len() != self.dim {
                let what = format!("the vector of {}", point.id);
                return Err(IndexError::Width { what, found: point.vector.len(), expected: self.dim });
            }
            if !is_unit(&point.vector) {
                return Err(IndexError::setting("a vector's length", length(&point.vector), "1 (a unit embedding)"));
            }
        }
        Ok(())
    }
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn new_identity() -> Result<String> {
    changes::new_identity()
}
