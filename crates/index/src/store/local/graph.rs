//! The graph of the approximate search: HNSW, built by usearch over the rows, walked from a file laid out for it.
//!
//! The graph finds candidates; the order of the answers always comes from the exact vectors. So it may work on coarse
//! vectors: one signed byte a value, a quarter of the memory traffic. Rows appended after it was made are compared
//! exactly until it is brought up to date. It is a by-product: without its files search is exact. usearch's own file is
//! read again only to add rows; searching maps the other one ([`walk`](super::walk)).
//!
//! Building uses all threads, and the order in which they link decides which edges there are: two builds of the same rows
//! are not the same graph, which is why its recall against exact search is measured at each build and kept with it: by
//! rows that are left out until then, since a row that is in the graph finds what it was linked to more easily than a new
//! picture does.

use std::path::Path;
use std::sync::Arc;

use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::scan::{rescore, scan};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::rows::Rows;
use super::slots::SlotSet;
use super::walk::{self, GraphSource, Walk};
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

/// Queries that recall is measured with, where there are enough rows.
const RECALL_QUERIES: usize = 200;
/// Rows for each of them at least.
const FEWEST_A_QUERY: usize = 10;

/// The first and the largest ef that is tried.
const EXPANSIONS: (usize, usize) = (12, 1024);

/// The graph as opened: mapped, not loaded.
pub(super) struct Graph {
    walk: Walk,
    pointer: Pointer,
}

/// What `graph.json` says.
#[derive(Serialize, Deserialize)]
struct Pointer {
    /// What usearch reads, to add rows.
    file: String,
    /// What is walked.
    walk: String,
    /// BLAKE3 of the latter.
    walk_checksum: String,
    stats: GraphStats,
}

impl Graph {
    /// The graph in `folder` over vectors of width `dim`, if there is one that can be read; `known` again if it is still
    /// the one.
    pub fn open(folder: &Path, dim: usize, known: Option<Arc<Self>>) -> Option<Arc<Self>> {
        let pointer = Pointer::read(folder).ok().flatten()?;
        if let Some(known) = known
            && known.pointer.walk == pointer.walk
        {
            return Some(known);
        }
        // A by-product: without it search is exact, and `check` says what is wrong with it.
        let walk = Walk::open(&folder.join(&pointer.walk), dim).ok()?;
        Some(Arc::new(Self { walk, pointer }))
    }

    /// Reads all of the graph in `folder`; what is wrong with it, if there is one and anything is.
    pub fn check(folder: &Path, dim: usize) -> Option<String> {
        let read = || -> Result<bool> {
            let Some(pointer) = Pointer::read(folder)? else { return Ok(true) };
            Ok(Walk::open(&folder.join(&pointer.walk), dim)?.is_as_written(&pointer.walk_checksum))
        };
        let problem = match read() {
            Ok(true) => return None,
            Ok(false) => "it does not have the checksum it was written with".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(format!("the graph, without which search is exact: {problem}; `index compact` makes it anew"))
    }

    /// Facts.
    pub fn stats(&self) -> &GraphStats {
        &self.pointer.stats
    }

    /// Up to `count` near rows that `keep` lets through, in no exact order.
    pub fn candidates(&self, query: &[f32], count: usize, keep: &(dyn Fn(u32) -> bool + Sync)) -> Vec<u32> {
        self.walk.nearest(&coarse(query), count, keep)
    }
}

impl Pointer {
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(POINTER);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| IndexError::corrupt(&path, error.to_string()))
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
    let covered = current.map_or(0, |graph| graph.stats().rows);
    // Comparing a twentieth of the rows exactly takes a few milliseconds even of a million: less than embedding a query.
    if current.is_some() && (rows.len() - covered) * 20 <= rows.len() {
        return Ok(());
    }
    let file = format!("graph-{}.usearch", rows.len());
    let path = folder.join(&file);
    // Where usearch's own file is gone or damaged, all rows are added again.
    let (index, covered) = match current.and_then(|graph| load_index(&folder.join(&graph.pointer.file)).ok()) {
        Some(index) => (index, covered),
        None => (new_index(settings, rows.dim())?, 0),
    };
    let new: Vec<u32> = (covered as u32..rows.len() as u32).filter(|&row| !dead.contains(row)).collect();
    let (held_out, new) = held_out(&new);
    add_rows(&index, rows, &new, &path, progress)?;
    let stats = measured(&index, settings, rows, dead, &held_out, &path)?;
    add_rows(&index, rows, &held_out, &path, &|_, _| ())?;
    save_index(&index, &path)?;
    let walk = format!("graph-{}.walk", rows.len());
    let degrees = [2 * settings.connectivity, settings.connectivity];
    let walk_checksum = walk::write(&folder.join(&walk), &Built { index: &index, rows }, rows.dim(), degrees)?;
    let pointer = Pointer { file, walk, walk_checksum, stats };
    let text = serde_json::to_string_pretty(&pointer).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
    write_atomically(&folder.join(POINTER), text.as_bytes())?;
    // Those who still search by the old file have it mapped; its name can go.
    if let Some(old) = current.filter(|old| old.pointer.file != pointer.file) {
        let _ = std::fs::remove_file(folder.join(&old.pointer.file));
        let _ = std::fs::remove_file(folder.join(&old.pointer.walk));
    }
    Ok(())
}

/// What usearch has built.
struct Built<'a> {
    index: &'a Index,
    rows: &'a Rows,
}

impl GraphSource for Built<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn contains(&self, row: u32) -> bool {
        self.index.contains(u64::from(row))
    }

    fn vector(&self, row: u32) -> Vec<i8> {
        self.rows.get(row).map(coarse).unwrap_or_default()
    }

    fn level(&self, row: u32) -> usize {
        self.index.level_of_key(u64::from(row))
    }

    fn edges(&self, row: u32, level: usize) -> Vec<u32> {
        self.index.neighbors(u64::from(row), level).map(|key| key as u32).collect()
    }
}

const POINTER: &str = "graph.json";

/// Splits off the rows that recall is measured with.
fn held_out(new: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let step = (new.len() / RECALL_QUERIES).max(FEWEST_A_QUERY);
    let (mut out, mut kept) = (Vec::new(), Vec::with_capacity(new.len()));
    for (place, row) in new.iter().enumerate() {
        if place % step == step / 2 { out.push(*row) } else { kept.push(*row) }
    }
    (out, kept)
}

/// Adds rows to the graph on all threads.
fn add_rows(index: &Index, rows: &Rows, new: &[u32], path: &Path, progress: &dyn Fn(usize, usize)) -> Result<()> {
    let threads = rayon::current_num_threads();
    index.reserve_capacity_and_threads(rows.len(), threads).map_err(graph_error("build", path))?;
    // In pieces, so that the caller's progress runs on the caller's thread.
    let mut done = 0;
    for piece in new.chunks(16_384) {
        piece.par_iter().try_for_each(|&slot| {
            index.add(u64::from(slot), &coarse(rows.require(slot)?)).map_err(graph_error("build", path))
        })?;
        done += piece.len();
        progress(done, new.len());
    }
    Ok(())
}

/// Raises ef until the recall of the rows that are `held_out` is that of the settings.
fn measured(
    index: &Index,
    settings: &GraphSettings,
    rows: &Rows,
    dead: &SlotSet,
    held_out: &[u32],
    path: &Path,
) -> Result<GraphStats> {
    let mut values = Vec::with_capacity(held_out.len() * rows.dim());
    for &row in held_out {
        values.extend_from_slice(rows.require(row)?);
    }
    let is_in = |row: u32| !dead.contains(row) && held_out.binary_search(&row).is_err();
    let queries = UnitEmbeddings::new(values, rows.dim())?;
    let exact = scan(&queries, rows.values(), 10, &is_in)?;
    let wanted: usize = exact.iter().map(Vec::len).sum();
    let mut expansion = EXPANSIONS.0;
    loop {
        let mut found = 0;
        for (q, exact) in exact.iter().enumerate() {
            let matches = index.filtered_search(&coarse(queries.row(q)), expansion, |key| !dead.contains(key as u32));
            let matches = matches.map_err(graph_error("search", path))?;
            let candidates: Vec<u32> = matches.keys.into_iter().map(|key| key as u32).collect();
            let answers = rescore(queries.row(q), rows.values(), &candidates, 10)?;
            found += exact.iter().filter(|exact| answers.iter().any(|answer| answer.row == exact.row)).count();
        }
        let recall_at_10 = if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 };
        if recall_at_10 >= settings.recall_at_10 || expansion >= EXPANSIONS.1 {
            return Ok(GraphStats {
                rows: rows.len(),
                connectivity: settings.connectivity,
                expansion_add: settings.expansion_add,
                expansion_search: expansion,
                recall_at_10,
                recall_queries: held_out.len(),
            });
        }
        expansion = (expansion.next_multiple_of(4) * 5 / 4).min(EXPANSIONS.1);
    }
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

/// Writes usearch's own file and puts it in place, synced.
fn save_index(index: &Index, path: &Path) -> Result<()> {
    let partial = path.with_extension("usearch.partial");
    index.save(&utf8(&partial)?).map_err(graph_error("write", &partial))?;
    std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(io_error("write", &partial))?;
    std::fs::rename(&partial, path).map_err(io_error("rename into place", path))
}

/// In memory, to be added to.
fn load_index(path: &Path) -> Result<Index> {
    let name = utf8(path)?;
    let metadata = Index::metadata(&name).map_err(graph_error("read", path))?;
    let dim = metadata.dimensions as usize;
    let mut index = Index::new(&metadata.into()).map_err(graph_error("read", path))?;
    index.load(&name).map_err(graph_error("read", path))?;
    index.change_expansion_search(1);
    set_metric(&mut index, dim);
    Ok(index)
}

/// Gives the index our distance of byte vectors; its own is compiled without vector instructions.
#[expect(unsafe_code, reason = "usearch hands vectors to a metric as pointers")]
fn set_metric(index: &mut Index, dim: usize) {
    // Distances only need an order; non-negative ones keep clear of assumptions about zero.
    let largest = (127 * 127 * dim) as f32;
    let metric = move |a: *const i8, b: *const i8| {
        // SAFETY: usearch calls the metric with pointers to two of its vectors (or a vector and a query of the same
        // length, which its bindings check), each `dim` signed bytes that nobody writes while it searches.
        let (a, b) = unsafe { (std::slice::from_raw_parts(a, dim), std::slice::from_raw_parts(b, dim)) };
        largest - walk::coarse_score(a, b) as f32
    };
    index.change_metric::<i8>(Box::new(metric));
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
