//! The store on this machine: vectors in a memory-mapped file, everything else in SQLite, exact search by the engine of
//! `kinsight-retrieval`, approximate search by HNSW.
//!
//! ```text
//! vectors.bin      rows      appended, never changed      RowsWriter -> RowsFile
//! catalog.sqlite   catalog   what rows mean               CatalogWriter -> Catalog
//! graph.json       graph     which graph files are valid; graph-*.hnsw is searched, graph-*.usearch is added to
//! ```
//! Reading and writing are different types. [`LocalStore`] reads: each call takes a [`Snapshot`], a connection and a
//! transaction of one moment. [`StoreWriter`] writes, and says how a write is made durable.

mod building;
mod catalog;
mod changes;
mod graph;
mod hnsw;
mod passing;
mod roots;
mod rows;
mod searching;
mod snapshot;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use kinsight_files::FileError;

pub use graph::GraphSettings;
pub use roots::uploads_root;
pub(crate) use writer::{StoreWriter, new_identity};

use self::catalog::{Catalog, Entry};
use self::graph::Graph;
use self::roots::{Root, Roots};
use self::rows::RowsFile;
use self::snapshot::{Pool, Snapshot, View};
use super::{Cursor, Hit, StoreStats, VectorQuery, VectorStore};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::filter::Filter;
use crate::payload::{Value, fields};
use crate::point::{Point, PointId};

/// Values that a filter may look at unless the user says otherwise: some 10 seconds of one core.
const FILTER_COST_LIMIT: u64 = 50_000_000;

/// A store in a folder, to read.
pub(crate) struct LocalStore {
    folder: PathBuf,
    /// The index that it belongs to.
    index: PathBuf,
    settings: GraphSettings,
    rows: RowsFile,
    pool: Pool,
    /// Of the newest revision that was read; replaced as a whole.
    view: RwLock<Arc<View>>,
    /// Of the index; empty for format 1 until it is brought to this format.
    identity: OnceLock<String>,
    filter_cost_limit: AtomicU64,
}

impl LocalStore {
    /// Opens the store in `folder`, of the index at `index`.
    ///
    /// # Errors
    /// Files that are missing, of another version, or not what they should be.
    pub fn open(folder: &Path, index: &Path, settings: GraphSettings) -> Result<Self> {
        // The catalog last: where another index was put in their place meanwhile, its identity shows.
        let rows = RowsFile::open(&rows_path(folder))?;
        let mut catalog = Catalog::open(&catalog_path(folder))?;
        catalog.begin(None)?;
        let view = read_view(&catalog, folder, index, &rows, None)?;
        catalog.end();
        let identity = view.identity.clone().map(OnceLock::from).unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            index: index.to_owned(),
            settings,
            rows,
            pool: Pool::new(catalog),
            view: RwLock::new(Arc::new(view)),
            identity,
            filter_cost_limit: AtomicU64::new(FILTER_COST_LIMIT),
        })
    }

    /// The settings of the graph.
    pub fn settings(&self) -> &GraphSettings {
        &self.settings
    }

    /// The random identity of the index; `None` in format 1.
    pub fn identity(&self) -> Option<&str> {
        self.identity.get().map(String::as_str)
    }

    /// Allows filters to look at this many values.
    pub fn limit_filter_cost(&self, limit: u64) {
        self.filter_cost_limit.store(limit, Ordering::Relaxed);
    }

    fn filter_cost_limit(&self) -> u64 {
        self.filter_cost_limit.load(Ordering::Relaxed)
    }

    /// The newest view, also of what other processes have written.
    fn view(&self) -> Result<Arc<View>> {
        Ok(self.snapshot()?.view.clone())
    }

    fn snapshot(&self) -> Result<Snapshot<'_>> {
        Snapshot::take(self, None)
    }

    /// The view of the revision that `catalog`'s transaction sees.
    fn view_of(&self, catalog: &Catalog, revision: u64) -> Result<Arc<View>> {
        let current = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        if revision == current.revision {
            return Ok(current);
        }
        let view = Arc::new(read_view(catalog, &self.folder, &self.index, &self.rows, current.graph.as_ref())?);
        if let Some(identity) = &view.identity {
            // Brought to this format by another process: the same file, so the same index.
            let _ = self.identity.set(identity.clone());
        }
        let mut newest = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if newest.revision < revision {
            *newest = view.clone();
        }
        Ok(view)
    }

    /// A function from paths below `folder` to ids.
    pub fn ids_of(&self, folder: &Path) -> Result<impl Fn(&str) -> PointId + use<>> {
        let root = self.view()?.roots.at_or_new(&folder.to_string_lossy(), &self.index);
        Ok(move |path: &str| root.id_of(path))
    }

    /// The roots at or below `folder` and where they are when it has become `new`.
    pub fn moved_roots(&self, folder: &Path, new: &Path) -> Result<Vec<(Root, String)>> {
        let moved = |root: &Root| {
            let below = Path::new(&root.folder).strip_prefix(folder).ok().filter(|_| !root.is_uploads)?;
            let new = if below.as_os_str().is_empty() { new.to_owned() } else { new.join(below) };
            Some((root.clone(), new.to_string_lossy().into_owned()))
        };
        Ok(self.view()?.roots.rows.iter().filter_map(moved).collect())
    }

    /// The roots of the newest revision.
    pub fn roots(&self) -> Result<Roots> {
        Ok(self.view()?.roots.clone())
    }

    /// The point with this id, if there is one and its vector has its checksum.
    pub fn sound(&self, id: PointId) -> Result<Option<Point>> {
        let snapshot = self.snapshot()?;
        let entry = snapshot.catalog().by_ids(&[id])?.pop().flatten();
        Ok(entry.and_then(|entry| snapshot.sound_point(entry).ok()))
    }

    /// Up to `limit` points from `start` on, as [`scroll`](VectorStore::scroll) gives them.
    ///
    /// # Errors
    /// [`Corrupt`](crate::IndexError::Corrupt) naming the first whose vector does not have its checksum.
    pub fn scroll_sound(&self, start: Cursor, limit: usize) -> Result<(Vec<Point>, Option<Cursor>)> {
        let snapshot = self.snapshot()?;
        let entries = snapshot.catalog().scroll(start.0, limit)?;
        let next = entries.last().filter(|_| entries.len() == limit).map(|last| Cursor(u64::from(last.row) + 1));
        let points = entries.into_iter().map(|entry| snapshot.sound_point(entry)).collect::<Result<_>>()?;
        Ok((points, next))
    }

    /// Rows whose vectors do not have their checksums, a line for each.
    pub fn rotten_rows(&self, progress: &dyn Fn(usize, usize)) -> Result<Vec<String>> {
        let snapshot = self.snapshot()?;
        let view = &snapshot.view;
        let (mut problems, total) = (Vec::new(), view.rows.len());
        snapshot.catalog().for_each_row(|row, id, checksum| {
            problems.extend(match view.rows.get(row) {
                Err(_) => Some(format!("{id}: row {row} is beyond the {total} rows of the vectors")),
                Ok(vector) if rows::checksum(vector) != checksum => Some(snapshot::rotten(row, id)),
                Ok(vector) if !is_unit(vector) => Some(format!("{id}: row {row} is not a unit vector")),
                Ok(_) if view.tombstones.contains(row) => Some(format!("{id}: row {row} has a tombstone, too")),
                Ok(_) => None,
            });
            if row.is_multiple_of(1024) {
                progress(row as usize, total);
            }
        })?;
        progress(total, total);
        Ok(problems)
    }
}

impl VectorStore for LocalStore {
    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn len(&self) -> Result<usize> {
        Ok(self.view()?.live())
    }

    fn revision(&self) -> Result<u64> {
        Ok(self.view()?.revision)
    }

    fn get(&self, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let snapshot = self.snapshot()?;
        let entries = snapshot.catalog().by_ids(ids)?;
        entries.into_iter().map(|entry| entry.map(|entry| snapshot.point(entry)).transpose()).collect()
    }

    fn scroll(
        &self,
        start: Cursor,
        limit: usize,
        filter: Option<&Filter>,
        cancel: &Cancel,
    ) -> Result<(Vec<Point>, Option<Cursor>)> {
        let snapshot = Snapshot::take(self, Some(cancel))?;
        let entries: Vec<Entry> = match filter {
            None => snapshot.catalog().scroll(start.0, limit)?,
            Some(filter) => {
                let allowed = snapshot.filtered(filter, cancel)?;
                let first = u32::try_from(start.0).unwrap_or(u32::MAX);
                let rows = allowed.range(first..).take(limit);
                snapshot.catalog().by_rows(rows)?.into_iter().flatten().collect()
            }
        };
        let next = entries.last().filter(|_| entries.len() >= limit).map(|last| Cursor(u64::from(last.row) + 1));
        let points = entries.into_iter().map(|entry| snapshot.point(entry)).collect::<Result<_>>()?;
        Ok((points, next))
    }

    fn search(&self, query: &VectorQuery) -> Result<Vec<Vec<Hit>>> {
        let cancel = query.filter.as_ref().map(|_| &query.cancel);
        searching::search(&Snapshot::take(self, cancel)?, self.settings.exact_values, query)
    }

    fn facets(&self, field: &str, limit: usize) -> Result<Vec<(Value, u64)>> {
        let snapshot = self.snapshot()?;
        let mut facets = snapshot.catalog().facets(field, limit)?;
        if field == fields::ROOT {
            facets.iter_mut().for_each(|(root, _)| *root = snapshot.view.roots.folder_of(root));
        }
        Ok(facets)
    }

    fn stats(&self) -> Result<StoreStats> {
        let view = self.view()?;
        Ok(StoreStats {
            points: view.live(),
            tombstones: view.tombstones.len() as usize,
            bytes: folder_bytes(&self.folder)?,
            graph: view.graph.as_ref().filter(|graph| graph.checked()).map(|graph| graph.stats().clone()),
        })
    }

    fn check(&self, progress: &dyn Fn(usize, usize)) -> Result<Vec<String>> {
        let snapshot = self.snapshot()?;
        let total = snapshot.view.rows.len();
        let mut problems = snapshot.catalog().check(total)?;
        problems.extend(self.rotten_rows(progress)?);
        problems.extend(Graph::check(&self.folder, self.dim()));
        Ok(problems)
    }
}

fn read_view(
    catalog: &Catalog,
    folder: &Path,
    index: &Path,
    rows: &RowsFile,
    known: Option<&Arc<Graph>>,
) -> Result<View> {
    let state = catalog.state(&uploads_root(index).to_string_lossy())?;
    let rows = rows.map(state.rows)?;
    let graph = Graph::open(folder, rows.dim(), state.identity.as_deref(), known);
    let graph = graph.filter(|graph| graph.stats().rows <= rows.len());
    Ok(View::new(state, rows, graph))
}

fn rows_path(folder: &Path) -> PathBuf {
    folder.join("vectors.bin")
}

fn catalog_path(folder: &Path) -> PathBuf {
    // Its name in indexes of format 1.
    let old = folder.join("catalogue.sqlite");
    if old.is_file() { old } else { folder.join("catalog.sqlite") }
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(FileError::at("read", folder))? {
        // A file that vanishes meanwhile (SQLite's journal) has no size.
        bytes += entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len());
    }
    Ok(bytes)
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

fn is_unit(vector: &[f32]) -> bool {
    (length(vector) - 1.0).abs() < 1e-3
}
