//! The file that is searched, and how it is written and opened.
//!
//! ```text
//! header       magic, rows, width, bytes of a vector, edges at the base, edges above, levels above, entry; 64 bytes
//! base         rows x ([i8; bytes of a vector] [u32; edges at the base])       edges are rows, NONE fills up
//! each level   [u32; 1] count, [u32; count] rows ascending, [u32; count x edges above]   edges are places in this level
//! ```
//! All numbers are little-endian.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use kinsight_files::{AtomicFile, FileError, MappedFile};

use super::{HEADER_BYTES, Hnsw, LINE, NONE, Upper};
use crate::error::{IndexError, Result};

const MAGIC: &[u8; 8] = b"KINSWLK1";

/// What is written: the graph as its builder gives it.
pub trait GraphSource {
    /// Rows, in the graph or not.
    fn rows(&self) -> usize;
    /// Whether a row is in the graph.
    fn contains(&self, row: u32) -> bool;
    /// The quantized vector of a row.
    fn vector(&self, row: u32) -> Vec<i8>;
    /// The highest level of a row that is in the graph.
    fn level(&self, row: u32) -> usize;
    /// Neighbors of a row at a level.
    fn edges(&self, row: u32, level: usize) -> Vec<u32>;
}

impl Hnsw {
    /// Maps the file at `path`, which must be for vectors of width `dim`.
    pub fn open(path: &Path, dim: usize) -> Result<Self> {
        let map = MappedFile::open(path)?;
        let damaged = || IndexError::corrupt(path, "not a search graph written by kinsight, or cut off");
        if map.len() < HEADER_BYTES || map[..8] != *MAGIC {
            return Err(damaged());
        }
        let number = |i: usize| -> usize {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&map[8 * (i + 1)..8 * (i + 2)]);
            usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        let [rows, found_dim, vector_bytes, degree] = [number(0), number(1), number(2), number(3)];
        let fits = found_dim == dim
            && vector_bytes == dim.next_multiple_of(LINE)
            && degree.is_multiple_of(LINE / size_of::<u32>())
            && rows < NONE as usize;
        let base_bytes = degree.checked_mul(4).and_then(|edges| edges.checked_add(vector_bytes)?.checked_mul(rows));
        let base_end = base_bytes.and_then(|bytes| bytes.checked_add(HEADER_BYTES)).filter(|end| *end <= map.len());
        let (true, Some(base_end)) = (fits, base_end) else { return Err(damaged()) };
        let rest = map[base_end..].len() / size_of::<u32>();
        let mut upper = Vec::new();
        let mut at = 0;
        for _ in 0..number(5) {
            let place = base_end + at * size_of::<u32>();
            let count = map.get(place..place + 4).ok_or_else(damaged)?;
            let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]) as usize;
            let rows = at + 1..at + 1 + count;
            let edges = count.checked_mul(number(4)).and_then(|edges| edges.checked_add(rows.end));
            let edges = rows.end..edges.filter(|end| *end <= rest).ok_or_else(damaged)?;
            at = edges.end;
            upper.push(Upper { rows, edges, degree: number(4) });
        }
        let entry = u32::try_from(number(6)).unwrap_or(NONE);
        let scratch = Mutex::default();
        Ok(Self { rows, dim, vector_bytes, degree, entry, upper, scratch, map })
    }
}

/// Writes `graph` and puts it in place at `path`, synced; returns its checksum. A node has at most `degrees` edges at the base and above.
pub fn write(path: &Path, graph: &dyn GraphSource, dim: usize, degrees: [usize; 2]) -> Result<String> {
    let rows = graph.rows();
    let members = members_by_level(graph);
    let entry = members.last().and_then(|top| top.first()).copied().unwrap_or(NONE);
    let vector_bytes = dim.next_multiple_of(LINE);
    let degree = degrees[0].next_multiple_of(LINE / size_of::<u32>());
    let mut out = Hashing { inner: AtomicFile::create(path)?, hash: blake3::Hasher::new() };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    let numbers = [rows, dim, vector_bytes, degree, degrees[1], members.len().saturating_sub(1), entry as usize];
    header.extend(numbers.iter().flat_map(|number| (*number as u64).to_le_bytes()));
    out.bytes(&header, path)?;
    for row in 0..rows as u32 {
        let (vector, edges) = match graph.contains(row) {
            true => (graph.vector(row), graph.edges(row, 0)),
            false => (Vec::new(), Vec::new()),
        };
        let mut record: Vec<u8> = vector.iter().map(|value| *value as u8).collect();
        record.resize(vector_bytes, 0);
        extend_filled(&mut record, &edges, degree);
        out.bytes(&record, path)?;
    }
    for (level, members) in members.iter().enumerate().skip(1) {
        let mut block: Vec<u8> = (members.len() as u32).to_le_bytes().to_vec();
        block.extend(members.iter().flat_map(|row| row.to_le_bytes()));
        for row in members {
            let edges = graph.edges(*row, level);
            let places: Vec<u32> =
                edges.iter().filter_map(|row| members.binary_search(row).ok()).map(|place| place as u32).collect();
            extend_filled(&mut block, &places, degrees[1]);
        }
        out.bytes(&block, path)?;
    }
    out.inner.commit()?;
    Ok(out.hash.finalize().to_hex().to_string())
}

/// The rows at each level, ascending; level 0 holds all that are in the graph.
fn members_by_level(graph: &dyn GraphSource) -> Vec<Vec<u32>> {
    let mut members: Vec<Vec<u32>> = Vec::new();
    for row in (0..graph.rows() as u32).filter(|row| graph.contains(*row)) {
        let levels = graph.level(row) + 1;
        members.resize_with(members.len().max(levels), Vec::new);
        members[..levels].iter_mut().for_each(|level| level.push(row));
    }
    members
}

fn extend_filled(bytes: &mut Vec<u8>, edges: &[u32], degree: usize) {
    let filled = edges.iter().copied().chain(std::iter::repeat(NONE)).take(degree);
    bytes.extend(filled.flat_map(u32::to_le_bytes));
}

struct Hashing {
    inner: AtomicFile,
    hash: blake3::Hasher,
}

impl Hashing {
    fn bytes(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        self.hash.update(bytes);
        Ok(self.inner.write_all(bytes).map_err(FileError::at("write", path))?)
    }
}
