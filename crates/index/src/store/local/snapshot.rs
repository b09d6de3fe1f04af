//! One moment of the store: its read transaction, and the rows, tombstones, roots and graph that belong to it.
//!
//! A snapshot sees whole writes or nothing of them, and neither waits for a writer nor for other readers: each has a
//! connection from a small pool. It lives as long as one call, because SQLite can start its write-ahead log over only when no
//! reader needs what is in it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;

use super::catalog::{Catalog, Entry, State};
use super::graph::Graph;
use super::roots::Roots;
use super::rows::{self, Rows};
use super::{LocalStore, passing};
use crate::cancel::Cancel;
use crate::error::{IndexError, Result};
use crate::filter::Filter;
use crate::point::{Point, PointId};

/// Idle connections that are kept.
const IDLE_CONNECTIONS: usize = 16;
/// Filters whose rows are remembered while nothing is written.
const FILTERS_KEPT: usize = 8;

/// What a revision consists of besides the catalog's points; shared by all snapshots of it.
pub(super) struct View {
    pub revision: u64,
    pub rows: Rows,
    /// Rows of removed and replaced points.
    pub tombstones: RoaringBitmap,
    pub roots: Roots,
    pub graph: Option<Arc<Graph>>,
    /// Of the index; `None` in format 1.
    pub identity: Option<String>,
    /// Filters that were evaluated on this revision, newest last.
    filtered: Mutex<Vec<(Filter, Arc<RoaringBitmap>)>>,
}

impl View {
    pub fn new(state: State, rows: Rows, graph: Option<Arc<Graph>>) -> Self {
        let State { revision, tombstones, roots, identity, .. } = state;
        Self { revision, rows, tombstones, roots, graph, identity, filtered: Mutex::default() }
    }

    /// Number of points.
    pub fn live(&self) -> usize {
        self.rows.len() - self.tombstones.len() as usize
    }
}

/// Connections that read, for one snapshot each.
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Catalog>>,
}

impl Pool {
    /// With its first connection.
    pub fn new(catalog: Catalog) -> Self {
        Self { path: catalog.path().to_owned(), idle: Mutex::new(vec![catalog]) }
    }

    fn take(&self, store: &LocalStore) -> Result<Catalog> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(catalog) if catalog.is_outdated() => {}
                Some(catalog) => return Ok(catalog),
                None => break,
            }
        }
        let catalog = Catalog::open(&self.path)?;
        // Opened by its path, where another index may lie by now.
        match catalog.identity()? == store.identity().map(str::to_owned) {
            true => Ok(catalog),
            false => Err(IndexError::Replaced { path: store.index.clone() }),
        }
    }

    fn give(&self, catalog: Catalog) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(catalog);
        }
    }
}

/// A transaction and the view that belongs to it.
pub(super) struct Snapshot<'a> {
    store: &'a LocalStore,
    /// `None` once it is back in the pool.
    catalog: Option<Catalog>,
    pub view: Arc<View>,
}

impl<'a> Snapshot<'a> {
    /// The newest moment, also of what other processes have written.
    pub fn take(store: &'a LocalStore, cancel: Option<&Cancel>) -> Result<Self> {
        let mut catalog = store.pool.take(store)?;
        let view = catalog.begin(cancel).and_then(|revision| store.view_of(&catalog, revision));
        match view {
            Ok(view) => Ok(Self { store, catalog: Some(catalog), view }),
            Err(error) => {
                if catalog.end() {
                    store.pool.give(catalog);
                }
                Err(error)
            }
        }
    }

    pub fn catalog(&self) -> &Catalog {
        match &self.catalog {
            Some(catalog) => catalog,
            None => unreachable!("the connection leaves only when the snapshot is dropped"),
        }
    }

    /// The rows that pass `filter`, remembered for the next time; tombstones are not among them.
    pub fn filtered(&self, filter: &Filter, cancel: &Cancel) -> Result<Arc<RoaringBitmap>> {
        let known = || self.view.filtered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rows)) = known().iter().find(|(known, _)| known == filter) {
            return Ok(rows.clone());
        }
        let (cost, limit) = (filter.cost(self.view.rows.len()), self.store.filter_cost_limit());
        if cost > limit {
            return Err(IndexError::FilterTooCostly { cost, limit });
        }
        // With nothing locked: another search with this filter does the same work meanwhile, and all others do not wait.
        let rows = Arc::new(passing::passing(self.catalog(), &self.view, filter, cancel)?);
        let mut known = known();
        if known.len() == FILTERS_KEPT {
            known.remove(0);
        }
        known.push((filter.clone(), rows.clone()));
        Ok(rows)
    }

    /// The whole point of an entry.
    pub fn point(&self, entry: Entry) -> Result<Point> {
        let Entry { row, id, mut payload, .. } = entry;
        self.view.roots.resolve(&mut payload);
        Ok(Point { id, vector: self.view.rows.get(row)?.to_vec(), payload })
    }

    /// As [`point`](Self::point), if the vector has the checksum that it was written with.
    pub fn sound_point(&self, entry: Entry) -> Result<Point> {
        if rows::checksum(self.view.rows.get(entry.row)?) != entry.checksum {
            return Err(IndexError::corrupt(self.view.rows.path(), rotten(entry.row, entry.id)));
        }
        self.point(entry)
    }
}

/// What is wrong with a row whose checksum is not that of its vector.
pub(super) fn rotten(row: u32, id: PointId) -> String {
    format!("{id}: row {row} does not have the checksum it was written with")
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Some(mut catalog) = self.catalog.take()
            && catalog.end()
        {
            self.store.pool.give(catalog);
        }
    }
}
