//! Making, extending and measuring the graph.
//!
//! Building uses all threads, and the order in which they link decides which edges there are: two builds of the same rows
//! are not the same graph. So its recall against exact search is measured at each build and kept with it, with the search
//! that answers later: for new rows before they are linked, since a row that is in the graph finds what it was linked to more
//! easily than a new picture does, and for a share of the rows that were in it before. It is measured again, and ef chosen
//! anew, when many rows were removed: their places are still searched through.

use std::path::Path;

use kinsight_files::{AtomicFile, MappedFile};
use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::scan::{rescore, scan};
use rayon::prelude::*;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::graph::{Graph, GraphSettings, Pointer, has_checksum, quantized};
use super::hnsw::{self, GraphSource, Hnsw};
use super::rows::Rows;
use super::snapshot::View;
use crate::error::{IndexError, Result};
use crate::store::GraphStats;

/// Queries that recall is measured with, where there are enough rows.
const RECALL_QUERIES: usize = 200;
/// Rows for each of them at least.
const FEWEST_PER_QUERY: usize = 10;
/// The first and the largest ef that is tried.
const EFS: (usize, usize) = (12, 1024);

/// Makes, extends or measures the graph where there are enough rows and it lacks enough of them; whether it did.
pub(super) fn bring_up_to_date(
    folder: &Path,
    settings: &GraphSettings,
    view: &View,
    is_in_place: &dyn Fn() -> Result<()>,
    progress: &dyn Fn(usize, usize),
) -> Result<bool> {
    let rows = &view.rows;
    if rows.values().len() <= settings.exact_values {
        return Ok(false);
    }
    let current = view.graph.as_deref().filter(|graph| graph.checked());
    if let Some(current) = current {
        let covered = current.stats().rows;
        // Comparing a twentieth of the rows exactly takes a few milliseconds even of a million: less than embedding a query.
        if (rows.len() - covered) * 20 <= rows.len() {
            return measure_again(folder, settings, view, current, is_in_place);
        }
    }
    // Where usearch's own file is gone or damaged, all rows are added again.
    let (index, covered) = match current.and_then(|graph| load_index(folder, graph.pointer(), rows.dim()).ok()) {
        Some(index) => (index, current.map_or(0, |graph| graph.stats().rows)),
        None => (new_index(settings, rows.dim())?, 0),
    };
    let is_live = |row: &u32| !view.tombstones.contains(*row);
    let new: Vec<u32> = (covered as u32..rows.len() as u32).filter(is_live).collect();
    let (held_out, new) = held_out(new);
    add_rows(&index, rows, &new, progress)?;
    is_in_place()?;
    let name = format!("graph-{}-{}", rows.len(), view.revision);
    let searched = folder.join(format!("{name}.hnsw"));
    let degrees = [2 * settings.connectivity, settings.connectivity];
    let lay_out = || hnsw::write(&searched, &Built { index: &index, rows }, rows.dim(), degrees);
    // Without the rows that are held out, to be measured with them, and then with them.
    lay_out()?;
    let mut queries = sample(&(0..covered as u32).filter(is_live).collect::<Vec<_>>(), covered, rows.len());
    queries.extend(&held_out);
    let is_in = |row: u32| is_live(&row) && held_out.binary_search(&row).is_err();
    let stats = measured(&Hnsw::open(&searched, rows.dim())?, settings, view, &queries, &is_in)?;
    add_rows(&index, rows, &held_out, &|_, _| ())?;
    is_in_place()?;
    let hnsw_checksum = lay_out()?;
    let file = format!("{name}.usearch");
    let checksum = Some(save_index(&index, &folder.join(&file))?);
    let pointer =
        Pointer { identity: view.identity.clone(), file, checksum, hnsw: format!("{name}.hnsw"), hnsw_checksum, stats };
    is_in_place()?;
    pointer.write(folder)?;
    remove_others(folder, &pointer);
    Ok(true)
}

/// Measures the graph once more if a tenth of its rows were removed since that was done last.
fn measure_again(
    folder: &Path,
    settings: &GraphSettings,
    view: &View,
    graph: &Graph,
    is_in_place: &dyn Fn() -> Result<()>,
) -> Result<bool> {
    let before = graph.stats();
    let tombstones = view.tombstones.range_cardinality(..before.rows as u32) as usize;
    if tombstones.saturating_sub(before.tombstones) * 10 <= before.rows {
        return Ok(false);
    }
    let is_in = |row: u32| (row as usize) < before.rows && !view.tombstones.contains(row);
    let live: Vec<u32> = (0..before.rows as u32).filter(|&row| is_in(row)).collect();
    let stats = measured(graph.hnsw(), settings, view, &sample(&live, 1, 1), &is_in)?;
    is_in_place()?;
    let stats = GraphStats { rows: before.rows, tombstones, ..stats };
    Pointer { stats, ..graph.pointer().clone() }.write(folder)?;
    Ok(true)
}

/// Those who still search by other files have them mapped; their names can go, and what interrupted builds have left.
fn remove_others(folder: &Path, pointer: &Pointer) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("graph-") && name != pointer.file && name != pointer.hnsw {
            // The next build tries again.
            let _ = kinsight_files::remove_file(&entry.path());
        }
    }
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
        self.rows.get(row).map(quantized).unwrap_or_default()
    }

    fn level(&self, row: u32) -> usize {
        self.index.level_of_key(u64::from(row))
    }

    fn edges(&self, row: u32, level: usize) -> Vec<u32> {
        self.index.neighbors(u64::from(row), level).map(|key| key as u32).collect()
    }
}

/// Splits off the rows that recall is measured with.
fn held_out(new: Vec<u32>) -> (Vec<u32>, Vec<u32>) {
    let out = sample(&new, 1, 1);
    let kept = new.into_iter().filter(|row| out.binary_search(row).is_err()).collect();
    (out, kept)
}

/// Rows to measure with, spread evenly over `rows`; their share is that of `part` in `all`.
fn sample(rows: &[u32], part: usize, all: usize) -> Vec<u32> {
    let wanted = (RECALL_QUERIES * part / all.max(1)).max(1);
    let step = (rows.len() / wanted).max(FEWEST_PER_QUERY);
    rows.iter().copied().skip(step / 2).step_by(step).collect()
}

/// Adds rows to the graph on all threads.
fn add_rows(index: &Index, rows: &Rows, new: &[u32], progress: &dyn Fn(usize, usize)) -> Result<()> {
    let threads = rayon::current_num_threads();
    index.reserve_capacity_and_threads(rows.len(), threads).map_err(graph_error("build"))?;
    // In pieces, so that the caller's progress runs on the caller's thread.
    let mut done = 0;
    for piece in new.chunks(16_384) {
        piece
            .par_iter()
            .try_for_each(|&row| index.add(u64::from(row), &quantized(rows.get(row)?)).map_err(graph_error("build")))?;
        done += piece.len();
        progress(done, new.len());
    }
    Ok(())
}

/// Raises ef until the recall of the rows `asked`, each of which is left out of its own hits, is that of the settings. `is_in`
/// says which rows can be found.
fn measured(
    hnsw: &Hnsw,
    settings: &GraphSettings,
    view: &View,
    asked: &[u32],
    is_in: &(dyn Fn(u32) -> bool + Sync),
) -> Result<GraphStats> {
    let rows = &view.rows;
    let mut values = Vec::with_capacity(asked.len() * rows.dim());
    for &row in asked {
        values.extend_from_slice(rows.get(row)?);
    }
    let queries = UnitEmbeddings::new(values, rows.dim())?;
    // One more than ten, for the query itself.
    let mut exact = scan(&queries, rows.values(), 11, is_in)?;
    for (exact, &own) in exact.iter_mut().zip(asked) {
        exact.retain(|found| found.row != own);
        exact.truncate(10);
    }
    let wanted: usize = exact.iter().map(Vec::len).sum();
    let mut ef = EFS.0;
    loop {
        let found = exact.par_iter().zip(asked).enumerate().map(|(q, (exact, &own))| {
            let keep = |row| row != own && is_in(row);
            let candidates = hnsw.nearest(&quantized(queries.row(q)), ef, &keep);
            let hits = rescore(queries.row(q), rows.values(), &candidates, 10)?;
            Ok(exact.iter().filter(|exact| hits.iter().any(|hit| hit.row == exact.row)).count())
        });
        let found: usize = found.collect::<Result<Vec<usize>>>()?.iter().sum();
        let recall_at_10 = if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 };
        if recall_at_10 >= settings.recall_at_10 || ef >= EFS.1 {
            return Ok(GraphStats {
                rows: rows.len(),
                connectivity: settings.connectivity,
                ef_construction: settings.ef_construction,
                ef,
                recall_at_10,
                recall_queries: asked.len(),
                tombstones: view.tombstones.len() as usize,
            });
        }
        ef = (ef.next_multiple_of(4) * 5 / 4).min(EFS.1);
    }
}

fn new_index(settings: &GraphSettings, dim: usize) -> Result<Index> {
    let options = IndexOptions {
        dimensions: dim,
        metric: MetricKind::IP,
        quantization: ScalarKind::I8,
        connectivity: settings.connectivity,
        expansion_add: settings.ef_construction,
        // It is not searched by.
        expansion_search: 1,
        multi: false,
    };
    let mut index = Index::new(&options).map_err(graph_error("build"))?;
    set_metric(&mut index, dim);
    Ok(index)
}

/// Writes usearch's own file; returns its checksum.
fn save_index(index: &Index, path: &Path) -> Result<String> {
    let mut bytes = vec![0; index.serialized_length()];
    index.save_to_buffer(&mut bytes).map_err(graph_error("write"))?;
    let mut file = AtomicFile::create(path)?;
    std::io::Write::write_all(&mut file, &bytes).map_err(kinsight_files::FileError::at("write", path))?;
    file.commit()?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// In memory, to be added to. Only what this program wrote, to the bit, is given to a library that trusts it.
fn load_index(folder: &Path, pointer: &Pointer, dim: usize) -> Result<Index> {
    let path = folder.join(&pointer.file);
    let bytes = MappedFile::open(&path)?;
    if !pointer.checksum.as_ref().is_some_and(|checksum| has_checksum(&bytes, checksum)) {
        return Err(IndexError::corrupt(&path, "its checksum does not match"));
    }
    let metadata = Index::metadata_from_buffer(&bytes).map_err(graph_error("read"))?;
    if metadata.dimensions as usize != dim {
        let found = metadata.dimensions as usize;
        return Err(IndexError::Width { what: path.display().to_string(), found, expected: dim });
    }
    let mut index = Index::new(&metadata.into()).map_err(graph_error("read"))?;
    index.load_from_buffer(&bytes).map_err(graph_error("read"))?;
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
        // length, which its bindings check), each `dim` signed bytes that nothing writes while it searches: a loaded index
        // was compared with its checksum and has this number of dimensions.
        let (a, b) = unsafe { (std::slice::from_raw_parts(a, dim), std::slice::from_raw_parts(b, dim)) };
        largest - hnsw::dot(a, b) as f32
    };
    index.change_metric::<i8>(Box::new(metric));
}

fn graph_error<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> IndexError + Copy {
    move |error| IndexError::Graph { action, reason: error.to_string() }
}
