//! The graph of the approximate search: usearch's HNSW over the rows, kept in a file of its own.
//!
//! The graph finds candidates; the order of the answers always comes from the exact vectors. So it may work on coarse
//! vectors: one signed byte a value, a quarter of the memory traffic. Rows appended after it was made are compared
//! exactly until it is brought up to date. It is a by-product: without its file, or with a damaged one, search is exact.
//!
//! Building uses all threads, and the order in which they link decides which edges there are: two builds of the same rows
//! are not the same graph, which is why its recall against exact search is measured after each build and kept with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::scan::scan;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::rows::Rows;
use super::slots::SlotSet;
use crate::atomic_write::write_atomically;
use crate::error::{IndexError, Result, io_error};
use crate::store::GraphStats;

/// When there is a graph, and how it is made. The defaults of M, efConstruction and ef are usearch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphSettings {
    /// Up to this many numbers (rows times width) search is exact and there is no graph. The default is what two cores
    /// read in about 20 ms: 260,000 images at width 384.
    pub exact_values: usize,
    /// Edges a node, M.
    pub connectivity: usize,
    /// Candidates while building, efConstruction.
    pub expansion_add: usize,
    /// The recall that the ef of searches is raised for.
    pub recall_at_10: f64,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self { exact_values: 100_000_000, connectivity: 16, expansion_add: 128, recall_at_10: 0.97 }
    }
}

/// Queries that recall is measured with.
const RECALL_QUERIES: usize = 200;

/// The first and the largest ef that is tried.
const EXPANSIONS: (usize, usize) = (12, 1024);

/// The graph as opened: mapped, not loaded.
pub(super) struct Graph {
    index: Index,
    file: String,
    path: PathBuf,
    stats: GraphStats,
    threads: Permits,
}

/// What `graph.json` says.
#[derive(Serialize, Deserialize)]
struct Pointer {
    file: String,
    stats: GraphStats,
}

impl Graph {
    /// The graph in `folder`, if there is one; `known` again if it is still the one.
    pub fn open(folder: &Path, known: Option<Arc<Self>>) -> Result<Option<Arc<Self>>> {
        let path = folder.join(POINTER);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let pointer: Pointer =
            serde_json::from_str(&text).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
        if let Some(known) = known
            && known.file == pointer.file
        {
            return Ok(Some(known));
        }
        let file_path = folder.join(&pointer.file);
        let index = open_index(&file_path, Access::View)?;
        let threads = Permits::new(std::thread::available_parallelism().map_or(1, usize::from));
        Ok(Some(Arc::new(Self { index, file: pointer.file, path: file_path, stats: pointer.stats, threads })))
    }

    /// Facts.
    pub fn stats(&self) -> &GraphStats {
        &self.stats
    }

    /// About `count` near rows that `keep` lets through, in no exact order.
    pub fn candidates(&self, query: &[f32], count: usize, keep: &(dyn Fn(u32) -> bool + Sync)) -> Result<Vec<u32>> {
        let coarse = coarse(query);
        let _permit = self.threads.take();
        let matches = self.index.filtered_search(&coarse, count, |key| keep(key as u32));
        Ok(matches.map_err(graph_error("search", &self.path))?.keys.into_iter().map(|key| key as u32).collect())
    }
}

/// Makes or extends the graph if there are enough rows for one and it lacks enough of them.
pub(super) fn bring_up_to_date(
    folder: &Path,
    settings: &GraphSettings,
    rows: &Rows,
    dead: &SlotSet,
    current: Option<&Graph>,
    progress: &dyn Fn(usize, usize),
) -> Result<()> {
    if rows.values().len() <= settings.exact_values {
        return Ok(());
    }
    let covered = current.map_or(0, |graph| graph.stats.rows);
    // Comparing a twentieth of the rows exactly costs about as much as walking the graph.
    if current.is_some() && (rows.len() - covered) * 20 <= rows.len() {
        return Ok(());
    }
    let file = format!("graph-{}.usearch", rows.len());
    let path = folder.join(&file);
    let index = match current {
        Some(current) => open_index(&current.path, Access::Load)?,
        None => new_index(settings, rows.dim())?,
    };
    add_rows(&index, rows, covered, dead, &path, progress)?;
    let partial = folder.join(format!("{file}.partial"));
    index.save(&utf8(&partial)?).map_err(graph_error("write", &partial))?;
    std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(io_error("write", &partial))?;
    std::fs::rename(&partial, &path).map_err(io_error("rename into place", &path))?;
    let stats = measured(&index, settings, rows, dead, &path)?;
    let pointer = Pointer { file: file.clone(), stats };
    let text = serde_json::to_string_pretty(&pointer).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
    write_atomically(&folder.join(POINTER), text.as_bytes())?;
    // Those who still search by the old file have it mapped; its name can go.
    if let Some(old) = current.filter(|old| old.file != file) {
        let _ = std::fs::remove_file(&old.path);
    }
    Ok(())
}

const POINTER: &str = "graph.json";

/// Adds rows `from..` to the graph on all threads.
fn add_rows(
    index: &Index,
    rows: &Rows,
    from: usize,
    dead: &SlotSet,
    path: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<()> {
    let threads = rayon::current_num_threads();
    index.reserve_capacity_and_threads(rows.len(), threads).map_err(graph_error("build", path))?;
    let (total, done) = (rows.len() - from, AtomicUsize::new(0));
    // In pieces, so that the caller's progress runs on the caller's thread.
    let all: Vec<u32> = (from as u32..rows.len() as u32).collect();
    for piece in all.chunks(16_384) {
        piece.par_iter().try_for_each(|&slot| {
            done.fetch_add(1, Ordering::Relaxed);
            if dead.contains(slot) {
                return Ok(());
            }
            let row = rows.require(slot)?;
            index.add(u64::from(slot), &coarse(row)).map_err(graph_error("build", path))
        })?;
        progress(done.load(Ordering::Relaxed), total);
    }
    Ok(())
}

/// Raises ef until the recall is that of the settings.
fn measured(index: &Index, settings: &GraphSettings, rows: &Rows, dead: &SlotSet, path: &Path) -> Result<GraphStats> {
    let step = (rows.len() / RECALL_QUERIES).max(1);
    let sample: Vec<u32> = (0..rows.len() as u32).step_by(step).filter(|&row| !dead.contains(row)).collect();
    let mut values = Vec::with_capacity(sample.len() * rows.dim());
    for &row in &sample {
        values.extend_from_slice(rows.require(row)?);
    }
    let queries = UnitEmbeddings::new(values, rows.dim())?;
    let exact = scan(&queries, rows.values(), 10, &|row| !dead.contains(row))?;
    let mut expansion = EXPANSIONS.0;
    loop {
        let mut found = 0;
        for (q, exact) in exact.iter().enumerate() {
            let live = |key: u64| !dead.contains(key as u32);
            let matches = index.filtered_search(&coarse(queries.row(q)), expansion, live);
            let matches = matches.map_err(graph_error("search", path))?;
            let candidates: Vec<u32> = matches.keys.into_iter().map(|key| key as u32).collect();
            let answers = kinsight_retrieval::scan::rescore(queries.row(q), rows.values(), &candidates, 10)?;
            found += exact.iter().filter(|exact| answers.iter().any(|answer| answer.row == exact.row)).count();
        }
        let wanted: usize = exact.iter().map(Vec::len).sum();
        let recall_at_10 = found as f64 / wanted.max(1) as f64;
        if recall_at_10 >= settings.recall_at_10 || expansion >= EXPANSIONS.1 {
            return Ok(GraphStats {
                rows: rows.len(),
                connectivity: settings.connectivity,
                expansion_add: settings.expansion_add,
                expansion_search: expansion,
                recall_at_10,
                recall_queries: sample.len(),
            });
        }
        expansion = (expansion * 3 / 2).min(EXPANSIONS.1);
    }
}

enum Access {
    /// Mapped, read-only.
    View,
    /// In memory, to be added to.
    Load,
}

fn new_index(settings: &GraphSettings, dim: usize) -> Result<Index> {
    let options = IndexOptions {
        dimensions: dim,
        metric: MetricKind::IP,
        quantization: ScalarKind::I8,
        connectivity: settings.connectivity,
        expansion_add: settings.expansion_add,
        // A search's own count stands for its ef.
        expansion_search: 1,
        multi: false,
    };
    let path = Path::new("the graph");
    let mut index = Index::new(&options).map_err(graph_error("build", path))?;
    set_metric(&mut index, dim);
    Ok(index)
}

fn open_index(path: &Path, access: Access) -> Result<Index> {
    let name = utf8(path)?;
    let metadata = Index::metadata(&name).map_err(graph_error("read", path))?;
    let dim = metadata.dimensions as usize;
    let mut index = Index::new(&metadata.into()).map_err(graph_error("read", path))?;
    let opened = match access {
        Access::View => index.view(&name),
        Access::Load => index.load(&name),
    };
    opened.map_err(graph_error("read", path))?;
    index.change_expansion_search(1);
    set_metric(&mut index, dim);
    Ok(index)
}

/// Gives the index our distance of byte vectors; its own is compiled without vector instructions.
#[expect(unsafe_code, reason = "usearch hands vectors to a metric as pointers")]
fn set_metric(index: &mut Index, dim: usize) {
    let arch = pulp::Arch::new();
    let metric = move |a: *const i8, b: *const i8| {
        // SAFETY: usearch calls the metric with pointers to two of its vectors (or a vector and a query of the same
        // length, which its bindings check), each `dim` signed bytes that nobody writes while it searches.
        let (a, b) = unsafe { (std::slice::from_raw_parts(a, dim), std::slice::from_raw_parts(b, dim)) };
        // Distances only need an order; non-negative ones keep clear of assumptions about zero.
        let largest = (127 * 127 * dim) as f32;
        largest
            - arch.dispatch(
                #[inline(always)]
                || coarse_score(a, b),
            ) as f32
    };
    index.change_metric::<i8>(Box::new(metric));
}

#[inline(always)]
fn coarse_score(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a) * i16::from(b))).sum()
}

/// A unit row as signed bytes. Four standard deviations of a value fill the range; the few beyond are cut off.
fn coarse(row: &[f32]) -> Vec<i8> {
    let scale = 127.0 / 4.0 * (row.len() as f32).sqrt();
    row.iter().map(|value| (value * scale).round().clamp(-127.0, 127.0) as i8).collect()
}

fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| IndexError::corrupt(path, "the path of an index must be valid UTF-8"))?;
    Ok(text.to_owned())
}

fn graph_error<E: std::fmt::Display>(action: &'static str, path: &Path) -> impl FnOnce(E) -> IndexError {
    let path = path.to_owned();
    move |error| IndexError::Graph { action, path, reason: error.to_string() }
}

/// usearch has a fixed number of seats for searching threads and fails the one that finds none: whoever comes waits here.
struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

struct Permit<'a>(&'a Permits);

impl Permits {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), returned: Condvar::new() }
    }

    fn take(&self) -> Permit<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.returned.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
