//! The store on this machine: vectors in a memory-mapped file, everything else in SQLite, exact search by the engine of
//! `kinsight-retrieval`, approximate search by usearch's HNSW.
//!
//! Durability is SQLite's. A write first appends its vectors to the file beyond the rows that the catalog counts, and
//! syncs; then one transaction makes them exist. Whatever happens in between leaves rows that nobody counts and the next
//! write overwrites. A row that exists never changes: a replaced or removed point leaves a dead row, which
//! [`compact`](crate::compact) leaves behind. So a reader needs no lock, and processes can search while another one writes.

mod catalog;
mod columns;
mod graph;
mod rows;
mod searching;
mod slots;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use graph::GraphSettings;

use self::catalog::Catalog;
use self::graph::Graph;
use self::rows::{Rows, RowsFile};
use self::slots::SlotSet;
use super::{Cursor, StoreStats, VectorQuery, VectorStore};
use crate::error::{IndexError, Result, io_error};
use crate::filter::Filter;
use crate::point::{Point, PointId};
use crate::store::Hit;

/// A store in a folder.
pub struct LocalStore {
    folder: PathBuf,
    dim: usize,
    settings: GraphSettings,
    catalog: Mutex<Catalog>,
    /// What searches read; replaced as a whole when the catalog has changed.
    view: RwLock<Arc<View>>,
}

/// The rows as of one revision of the catalog.
struct View {
    revision: i64,
    rows: Rows,
    /// Rows of removed and replaced points.
    dead: SlotSet,
    graph: Option<Arc<Graph>>,
    /// Filters that were evaluated on this revision, newest last.
    filtered: Mutex<Vec<(Filter, Arc<SlotSet>)>>,
}

impl View {
    fn live(&self) -> usize {
        self.rows.len() - self.dead.count()
    }
}

impl LocalStore {
    /// Makes an empty store in `folder`, which must exist.
    ///
    /// # Errors
    /// A width of zero, or a failure to write.
    pub fn create(folder: &Path, dim: usize, settings: GraphSettings) -> Result<Self> {
        RowsFile::create(&rows_path(folder), dim)?;
        Catalog::create(&catalog_path(folder))?;
        Self::open(folder, settings)
    }

    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// Files that are missing, of another version, or not what they should be.
    pub fn open(folder: &Path, settings: GraphSettings) -> Result<Self> {
        let catalog = Catalog::open(&catalog_path(folder))?;
        let dim = RowsFile::open(&rows_path(folder))?.dim();
        let view = RwLock::new(Arc::new(read_view(folder, &catalog, None)?));
        Ok(Self { folder: folder.to_owned(), dim, settings, catalog: Mutex::new(catalog), view })
    }

    /// The settings of the graph.
    pub fn settings(&self) -> &GraphSettings {
        &self.settings
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest view, also of what other processes have written.
    fn view(&self) -> Result<Arc<View>> {
        let current = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        let catalog = self.catalog();
        if catalog.revision()? == current.revision {
            return Ok(current);
        }
        let newer = Arc::new(read_view(&self.folder, &catalog, Some(&current))?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = newer.clone();
        Ok(newer)
    }

    fn check_vectors(&self, points: &[Point]) -> Result<()> {
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

impl VectorStore for LocalStore {
    fn dim(&self) -> usize {
        self.dim
    }

    fn len(&self) -> Result<usize> {
        Ok(self.view()?.live())
    }

    fn upsert(&self, points: &[Point]) -> Result<()> {
        self.check_vectors(points)?;
        if points.is_empty() {
            return Ok(());
        }
        let mut catalog = self.catalog();
        // Under the lock of the catalog, no other thread can take the same rows; the index's lock keeps out processes.
        let first = catalog.rows()?;
        let mut file = RowsFile::open_for_writing(&rows_path(&self.folder))?;
        file.append(first, points.iter().map(|point| point.vector.as_slice()))?;
        let checksums = points.iter().map(|point| rows::checksum(&point.vector));
        catalog.insert(first, points, checksums)
    }

    fn remove(&self, ids: &[PointId]) -> Result<usize> {
        self.catalog().remove(ids)
    }

    fn get(&self, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let view = self.view()?;
        let found = self.catalog().by_ids(ids)?;
        ids.iter()
            .zip(found)
            .map(|(&id, found)| {
                let Some((slot, payload)) = found else { return Ok(None) };
                // Written since the view was taken: the next view has it.
                let vector = match view.rows.get(slot) {
                    Some(row) => row.to_vec(),
                    None => self.view()?.rows.require(slot)?.to_vec(),
                };
                Ok(Some(Point { id, vector, payload }))
            })
            .collect()
    }

    fn scroll(&self, start: Cursor, limit: usize, filter: Option<&Filter>) -> Result<(Vec<Point>, Option<Cursor>)> {
        let view = self.view()?;
        let allowed = filter.map(|filter| self.filtered(&view, filter)).transpose()?;
        let mut points = Vec::new();
        let mut next = start.0;
        loop {
            let wanted = limit - points.len();
            let found = self.catalog().scroll(next, if allowed.is_some() { limit.max(256) } else { wanted })?;
            let Some(&(last, ..)) = found.last() else { return Ok((points, None)) };
            for (slot, id, payload) in found {
                if allowed.as_ref().is_none_or(|allowed| allowed.contains(slot))
                    && let Some(row) = view.rows.get(slot)
                {
                    points.push(Point { id, vector: row.to_vec(), payload });
                    if points.len() >= limit {
                        return Ok((points, Some(Cursor(u64::from(slot) + 1))));
                    }
                }
            }
            next = u64::from(last) + 1;
        }
    }

    fn search(&self, query: &VectorQuery) -> Result<Vec<Vec<Hit>>> {
        let view = self.view()?;
        searching::search(self, &view, query)
    }

    fn optimize(&self, progress: &dyn Fn(usize, usize)) -> Result<()> {
        let view = self.view()?;
        graph::bring_up_to_date(&self.folder, &self.settings, &view.rows, &view.dead, view.graph.as_deref(), progress)?;
        // The graph is found by the next view; a revision tells other processes to look.
        self.catalog().bump_revision()
    }

    fn stats(&self) -> Result<StoreStats> {
        let view = self.view()?;
        Ok(StoreStats {
            points: view.live(),
            dead_rows: view.dead.count(),
            bytes: folder_bytes(&self.folder)?,
            graph: view.graph.as_ref().map(|graph| graph.stats().clone()),
        })
    }

    fn check(&self, progress: &dyn Fn(usize, usize)) -> Result<Vec<String>> {
        let view = self.view()?;
        let catalog = self.catalog();
        let mut problems = catalog.check()?;
        let total = view.rows.len();
        catalog.for_each_row(|slot, id, checksum| {
            let problem = match view.rows.get(slot) {
                None => Some(format!("{id}: row {slot} is beyond the {total} rows of the vectors")),
                Some(row) if rows::checksum(row) != checksum => {
                    Some(format!("{id}: row {slot} does not have the checksum it was written with"))
                }
                Some(row) if !is_unit(row) => Some(format!("{id}: row {slot} is no unit vector")),
                Some(_) if view.dead.contains(slot) => Some(format!("{id}: row {slot} is also listed as dead")),
                Some(_) => None,
            };
            problems.extend(problem);
            if slot.is_multiple_of(1024) {
                progress(slot as usize, total);
            }
        })?;
        if let Some(graph) = &view.graph
            && graph.stats().rows > total
        {
            problems.push(format!("the graph covers {} rows, there are {total}", graph.stats().rows));
        }
        problems.extend(Graph::check(&self.folder, self.dim));
        progress(total, total);
        Ok(problems)
    }
}

fn read_view(folder: &Path, catalog: &Catalog, previous: Option<&View>) -> Result<View> {
    // One transaction, so that rows, dead rows and revision belong together.
    let (revision, count, dead) = catalog.snapshot()?;
    let rows = RowsFile::open(&rows_path(folder))?.map(count)?;
    let graph = Graph::open(folder, rows.dim(), previous.and_then(|view| view.graph.clone()));
    let graph = graph.filter(|graph| graph.stats().rows <= rows.len());
    Ok(View { revision, rows, dead, graph, filtered: Mutex::new(Vec::new()) })
}

fn rows_path(folder: &Path) -> PathBuf {
    folder.join("vectors.bin")
}

fn catalog_path(folder: &Path) -> PathBuf {
    folder.join("catalog.sqlite")
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
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
