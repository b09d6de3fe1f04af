//! The graph laid out for walking: what usearch built, in a file of our own that is mapped and never changed.
//!
//! usearch keeps edges and vectors in different places, each behind a pointer: where they do not fit the processor's cache,
//! every comparison waits for memory several times (at 300,000 rows of width 384 a third of hnswlib's queries a second at
//! the same ef). Here a row's coarse vector and its edges are one record, and what a step will compare is asked
//! for before it is needed.
//!
//! ```text
//! header       magic, rows, width, bytes of a vector, edges at the base, edges above, levels above, entry; 64 bytes
//! base         rows x ([i8; bytes of a vector] [u32; edges at the base])       edges are rows, NONE fills up
//! each level   [u32; 1] count, [u32; count] rows ascending, [u32; count x edges above]   edges are places in this level
//! ```
//! All numbers are little-endian. A damaged file gives other answers or none, never a crash: every edge is checked where
//! it is followed, and `index check` compares the file with its checksum.
//!
//! Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs", 2018: algorithms 2 and 5.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;
use pulp::{Simd, WithSimd};

use crate::error::{IndexError, Result, io_error};

const MAGIC: &[u8; 8] = b"KINSWLK1";
const HEADER_BYTES: usize = 64;
/// A cache line: records start at one.
const LINE: usize = 64;
/// No edge, no entry.
const NONE: u32 = u32::MAX;

/// What is written: the graph as its builder gives it.
pub(super) trait GraphSource {
    /// Rows, in the graph or not.
    fn rows(&self) -> usize;
    /// Whether a row is in the graph.
    fn contains(&self, row: u32) -> bool;
    /// The coarse vector of a row.
    fn vector(&self, row: u32) -> Vec<i8>;
    /// The highest level of a row that is in the graph.
    fn level(&self, row: u32) -> usize;
    /// Neighbors of a row at a level.
    fn edges(&self, row: u32, level: usize) -> Vec<u32>;
}

/// The mapped file.
pub(super) struct Walk {
    map: Mmap,
    rows: usize,
    dim: usize,
    /// Of a coarse vector, filled up to whole lines.
    vector_bytes: usize,
    degree: usize,
    entry: u32,
    /// From level 1 up.
    upper: Vec<Upper>,
    scratch: Mutex<Vec<Scratch>>,
}

/// Places of a level above the base, in numbers of 32 bits from the end of the base.
struct Upper {
    rows: Range<usize>,
    edges: Range<usize>,
    degree: usize,
}

/// What a walk needs, kept from query to query.
#[derive(Default)]
struct Scratch {
    /// A bit a row.
    seen: Vec<u64>,
    /// Words of `seen` that are not zero.
    touched: Vec<u32>,
    /// Rows whose edges have not been followed, the nearest on top.
    next: BinaryHeap<(i32, u32)>,
    /// The best that may answer, best first.
    best: Vec<(i32, u32)>,
    fresh: Vec<u32>,
}

/// Writes `graph` and puts it in place at `path`, synced; returns its checksum. A node has at most `degrees` edges at the base and above.
pub(super) fn write(path: &Path, graph: &dyn GraphSource, dim: usize, degrees: [usize; 2]) -> Result<String> {
    let rows = graph.rows();
    let members = members_by_level(graph);
    let entry = members.last().and_then(|top| top.first()).copied().unwrap_or(NONE);
    let vector_bytes = dim.next_multiple_of(LINE);
    let degree = degrees[0].next_multiple_of(LINE / size_of::<u32>());
    let partial = path.with_extension("walk.partial");
    let file = File::create(&partial).map_err(io_error("create", &partial))?;
    let mut out = Hashing { inner: BufWriter::with_capacity(1 << 20, file), hash: blake3::Hasher::new() };
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
    let file = out.inner.into_inner().map_err(|error| io_error("write", path)(error.into_error()))?;
    file.sync_all().map_err(io_error("write", path))?;
    std::fs::rename(&partial, path).map_err(io_error("rename into place", path))?;
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
    inner: BufWriter<File>,
    hash: blake3::Hasher,
}

impl Hashing {
    fn bytes(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes).map_err(io_error("write", path))
    }
}

impl Walk {
    /// Maps the file at `path`, which must be for vectors of width `dim`.
    #[expect(unsafe_code, reason = "mapping a file is unsafe because another process may shorten it while mapped")]
    pub fn open(path: &Path, dim: usize) -> Result<Self> {
        let file = File::open(path).map_err(io_error("open", path))?;
        // SAFETY: the mapping is read-only, and kinsight replaces such a file as a whole and never changes one; a file that
        // another program truncates while it is mapped is the documented hazard of every memory-mapped reader.
        let map = unsafe { Mmap::map(&file) }.map_err(io_error("map", path))?;
        let damaged = || IndexError::corrupt(path, "not a graph that kinsight writes, or cut off");
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

    /// Reads all of it; whether it has the checksum that [`write`] returned.
    pub fn is_as_written(&self, checksum: &str) -> bool {
        blake3::hash(&self.map).to_hex().as_str() == checksum
    }

    /// Up to `expansion` (ef of HNSW) near rows that `keep` lets through, the nearest by coarse vectors first.
    pub fn nearest(&self, query: &[i8], expansion: usize, keep: &(dyn Fn(u32) -> bool + Sync)) -> Vec<u32> {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        scratch.seen.resize(self.rows.div_ceil(64), 0);
        pulp::Arch::new().dispatch(Walking { walk: self, query, expansion, keep, scratch: &mut scratch });
        let found = scratch.best.drain(..).map(|(_, row)| row).collect();
        scratch.next.clear();
        for word in scratch.touched.drain(..) {
            scratch.seen[word as usize] = 0;
        }
        pool().push(scratch);
        found
    }

    #[inline(always)]
    fn walk(&self, query: &[i8], expansion: usize, keep: &(dyn Fn(u32) -> bool + Sync), scratch: &mut Scratch) {
        if self.entry as usize >= self.rows || query.len() != self.dim {
            return;
        }
        let Scratch { seen, touched, next, best, fresh } = scratch;
        let mut mark = |row: u32| {
            let (word, bit) = (&mut seen[row as usize / 64], 1_u64 << (row % 64));
            if *word == 0 {
                touched.push(row / 64);
            }
            let new = *word & bit == 0;
            *word |= bit;
            new
        };
        let offer = |score: i32, row: u32, best: &mut Vec<(i32, u32)>| {
            if keep(row) {
                let place = best.partition_point(|&(other, _)| other >= score);
                best.insert(place, (score, row));
                best.truncate(expansion);
            }
        };
        let start = self.descend(query);
        let score = score(query, self.vector(start));
        mark(start);
        next.push((score, start));
        offer(score, start, best);
        while let Some((score, row)) = next.pop() {
            if best.len() == expansion && best.last().is_some_and(|&(worst, _)| score < worst) {
                break;
            }
            fresh.clear();
            for &row in self.edges(row) {
                if row as usize >= self.rows {
                    break;
                }
                if mark(row) {
                    prefetch(self.vector_line(row));
                    fresh.push(row);
                }
            }
            for &row in fresh.iter() {
                let score = self::score(query, self.vector(row));
                if best.len() < expansion || best.last().is_none_or(|&(worst, _)| score > worst) {
                    next.push((score, row));
                    offer(score, row, best);
                }
            }
            if let Some(&(_, row)) = next.peek() {
                prefetch(bytemuck::cast_slice(self.edges(row)));
            }
        }
    }

    /// The row at which the walk of the base starts: the nearest that greedy steps reach from level to level.
    #[inline(always)]
    fn descend(&self, query: &[i8]) -> u32 {
        let mut row = self.entry;
        for level in self.upper.iter().rev() {
            let rows = &self.numbers()[level.rows.clone()];
            let edges = &self.numbers()[level.edges.clone()];
            let Ok(mut place) = rows.binary_search(&row) else { continue };
            let mut nearest = score(query, self.vector(row));
            loop {
                let mut better = None;
                for &other in edges.get(place * level.degree..).unwrap_or_default().iter().take(level.degree) {
                    let Some(&row) = rows.get(other as usize).filter(|row| (**row as usize) < self.rows) else {
                        continue;
                    };
                    let score = score(query, self.vector(row));
                    if score > nearest {
                        nearest = score;
                        better = Some((other as usize, row));
                    }
                }
                match better {
                    Some(step) => (place, row) = step,
                    None => break,
                }
            }
        }
        row
    }

    /// Where the record of a row starts; the row must be below `rows`.
    #[inline(always)]
    fn record(&self, row: u32) -> usize {
        HEADER_BYTES + row as usize * (self.vector_bytes + self.degree * size_of::<u32>())
    }

    #[inline(always)]
    fn vector_line(&self, row: u32) -> &[u8] {
        &self.map[self.record(row)..][..self.vector_bytes]
    }

    #[inline(always)]
    fn vector(&self, row: u32) -> &[i8] {
        bytemuck::cast_slice(&self.vector_line(row)[..self.dim])
    }

    #[inline(always)]
    fn edges(&self, row: u32) -> &[u32] {
        bytemuck::cast_slice(&self.map[self.record(row) + self.vector_bytes..][..self.degree * size_of::<u32>()])
    }

    /// What stands behind the base.
    #[inline(always)]
    fn numbers(&self) -> &[u32] {
        let rest = &self.map[self.record(self.rows as u32)..];
        bytemuck::cast_slice(&rest[..rest.len() / 4 * 4])
    }
}

/// One walk, all of it compiled for the instructions that this processor has: a choice a comparison would cost as much as
/// the comparison.
struct Walking<'a> {
    walk: &'a Walk,
    query: &'a [i8],
    expansion: usize,
    keep: &'a (dyn Fn(u32) -> bool + Sync),
    scratch: &'a mut Scratch,
}

impl WithSimd for Walking<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.walk.walk(self.query, self.expansion, self.keep, self.scratch);
    }
}

/// Inner product of two coarse vectors, for whoever does not walk.
pub(super) fn coarse_score(a: &[i8], b: &[i8]) -> i32 {
    pulp::Arch::new().dispatch(Comparison(a, b))
}

struct Comparison<'a>(&'a [i8], &'a [i8]);

impl WithSimd for Comparison<'_> {
    type Output = i32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> i32 {
        score(self.0, self.1)
    }
}

/// Inner product of coarse vectors: it orders rows as cosine does.
#[inline(always)]
fn score(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Asks for memory that will be read soon.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the instruction takes a pointer"))]
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        // SAFETY: a hint that reads nothing, at an address inside a slice; every x86-64 has it.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Points on a line of 100 places, each joined to those one and two away; every tenth is also at level 1, the
    /// fiftieth at level 2.
    struct Line;

    impl GraphSource for Line {
        fn rows(&self) -> usize {
            101
        }
        fn contains(&self, row: u32) -> bool {
            row < 100 // the last was removed before the graph was made
        }
        fn vector(&self, row: u32) -> Vec<i8> {
            let angle = f64::from(row) / 100.0 * std::f64::consts::FRAC_PI_2;
            vec![(angle.cos() * 127.0) as i8, (angle.sin() * 127.0) as i8, 0]
        }
        fn level(&self, row: u32) -> usize {
            match row {
                50 => 2,
                row => usize::from(row.is_multiple_of(10)),
            }
        }
        fn edges(&self, row: u32, level: usize) -> Vec<u32> {
            let step = [1, 10, 100][level] as i64;
            let near = [-2, -1, 1, 2].map(|n| i64::from(row) + n * step);
            near.into_iter().filter(|row| (0..100).contains(row)).map(|row| row as u32).collect()
        }
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.walk");
        let checksum = write(&path, &Line, 3, [4, 4]).unwrap();
        (folder, path, checksum)
    }

    #[test]
    fn a_walk_ends_at_the_nearest_rows() {
        let (_folder, path, checksum) = written();
        let walk = Walk::open(&path, 3).unwrap();
        assert!(walk.is_as_written(&checksum));
        for place in [0_u32, 7, 33, 64, 99] {
            let query = Line.vector(place);
            let near = |row: u32| score(&query, &Line.vector(row));
            let mut sorted: Vec<u32> = (0..100).collect();
            sorted.sort_by_key(|&row| std::cmp::Reverse(near(row)));
            let scores = |rows: &[u32]| rows.iter().map(|&row| near(row)).collect::<Vec<i32>>();
            let found = walk.nearest(&query, 8, &|_| true);
            assert_eq!(scores(&found), scores(&sorted[..8]), "{place}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 8);
            // What may not answer is walked through.
            let even = walk.nearest(&query, 8, &|row| row.is_multiple_of(4));
            sorted.retain(|row| row.is_multiple_of(4));
            assert_eq!(scores(&even), scores(&sorted[..8]), "{place}");
            assert_eq!(walk.nearest(&query, 8, &|_| true), found, "nothing is left behind by the last walk");
        }
        assert!(walk.nearest(&[1, 2], 8, &|_| true).is_empty());
    }

    /// Whatever stands in the file, walking it ends and stays inside.
    #[test]
    fn a_damaged_file_is_noticed_and_harmless() {
        let (folder, path, checksum) = written();
        let whole = std::fs::read(&path).unwrap();
        let query = Line.vector(20);
        for cut in [0, 7, 63, 64, 1000, whole.len() - 1] {
            let other = folder.path().join("cut");
            std::fs::write(&other, &whole[..cut]).unwrap();
            assert!(Walk::open(&other, 3).is_err(), "cut off at {cut}");
        }
        assert!(Walk::open(&path, 4).is_err(), "of another width");
        for place in (0..HEADER_BYTES).chain((HEADER_BYTES..whole.len()).step_by(5)) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            let other = folder.path().join(format!("damaged-{place}"));
            std::fs::write(&other, bytes).unwrap();
            if let Ok(walk) = Walk::open(&other, 3) {
                walk.nearest(&query, 8, &|_| true).iter().for_each(|&row| assert!(row <= 100));
                assert!(!walk.is_as_written(&checksum), "{place}");
            }
        }
    }
}
