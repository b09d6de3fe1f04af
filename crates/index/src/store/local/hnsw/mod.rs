//! HNSW search over the graph that usearch built, in a file of our own that is mapped and never changed.
//!
//! usearch keeps edges and vectors in different places, each behind a pointer: where they do not fit the processor's cache,
//! every comparison waits for memory several times (at 300,000 rows of width 384 a third of hnswlib's queries per second at
//! the same ef). Here a row's quantized vector and its edges are one record ([`file`]), and what a step will compare is
//! prefetched. A damaged file gives other rows or none, never a crash: every edge is checked where it is followed.
//!
//! Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs", 2018: algorithms 2 and 5.

mod file;

use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use kinsight_files::MappedFile;
use pulp::{Simd, WithSimd};

pub(super) use file::{GraphSource, write};

const HEADER_BYTES: usize = 64;
/// A cache line: records start at one.
const LINE: usize = 64;
/// No edge, no entry.
const NONE: u32 = u32::MAX;

/// The mapped file.
pub(super) struct Hnsw {
    map: MappedFile,
    rows: usize,
    dim: usize,
    /// Of a quantized vector, filled up to whole lines.
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

/// What a search needs, kept from query to query.
#[derive(Default)]
struct Scratch {
    /// A bit a row.
    seen: Vec<u64>,
    /// Words of `seen` that are not zero.
    touched: Vec<u32>,
    /// Rows whose edges have not been followed, the nearest on top.
    next: BinaryHeap<(i32, u32)>,
    /// The best that `keep` lets through, best first.
    best: Vec<(i32, u32)>,
    fresh: Vec<u32>,
}

impl Hnsw {
    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Up to `ef` near rows that `keep` lets through, the nearest by quantized vectors first.
    pub fn nearest(&self, query: &[i8], ef: usize, keep: &(dyn Fn(u32) -> bool + Sync)) -> Vec<u32> {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        scratch.seen.resize(self.rows.div_ceil(64), 0);
        pulp::Arch::new().dispatch(Searching { hnsw: self, query, ef, keep, scratch: &mut scratch });
        let found = scratch.best.drain(..).map(|(_, row)| row).collect();
        scratch.next.clear();
        for word in scratch.touched.drain(..) {
            scratch.seen[word as usize] = 0;
        }
        pool().push(scratch);
        found
    }

    #[inline(always)]
    fn search(&self, query: &[i8], ef: usize, keep: &(dyn Fn(u32) -> bool + Sync), scratch: &mut Scratch) {
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
                best.truncate(ef);
            }
        };
        let start = self.descend(query);
        let score = score(query, self.vector(start));
        mark(start);
        next.push((score, start));
        offer(score, start, best);
        while let Some((score, row)) = next.pop() {
            if best.len() == ef && best.last().is_some_and(|&(worst, _)| score < worst) {
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
                if best.len() < ef || best.last().is_none_or(|&(worst, _)| score > worst) {
                    next.push((score, row));
                    offer(score, row, best);
                }
            }
            if let Some(&(_, row)) = next.peek() {
                prefetch(bytemuck::cast_slice(self.edges(row)));
            }
        }
    }

    /// The row at which the search of the base starts: the nearest that greedy steps reach from level to level.
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

    /// What comes after the base.
    #[inline(always)]
    fn numbers(&self) -> &[u32] {
        let rest = &self.map[self.record(self.rows as u32)..];
        bytemuck::cast_slice(&rest[..rest.len() / 4 * 4])
    }
}

/// Dispatches on the processor's instructions once per search; doing it per distance would cost as much as the distance.
struct Searching<'a> {
    hnsw: &'a Hnsw,
    query: &'a [i8],
    ef: usize,
    keep: &'a (dyn Fn(u32) -> bool + Sync),
    scratch: &'a mut Scratch,
}

impl WithSimd for Searching<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.hnsw.search(self.query, self.ef, self.keep, self.scratch);
    }
}

/// Dot product of two quantized vectors, for callers outside the search.
pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
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

/// Inner product of quantized vectors: it orders rows as cosine does.
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

    use super::super::graph::has_checksum;
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
        let path = folder.path().join("graph.hnsw");
        let checksum = write(&path, &Line, 3, [4, 4]).unwrap();
        (folder, path, checksum)
    }

    #[test]
    fn a_search_ends_at_the_nearest_rows() {
        let (_folder, path, checksum) = written();
        let hnsw = Hnsw::open(&path, 3).unwrap();
        assert!(has_checksum(hnsw.bytes(), &checksum));
        for place in [0_u32, 7, 33, 64, 99] {
            let query = Line.vector(place);
            let near = |row: u32| score(&query, &Line.vector(row));
            let mut sorted: Vec<u32> = (0..100).collect();
            sorted.sort_by_key(|&row| std::cmp::Reverse(near(row)));
            let scores = |rows: &[u32]| rows.iter().map(|&row| near(row)).collect::<Vec<i32>>();
            let found = hnsw.nearest(&query, 8, &|_| true);
            assert_eq!(scores(&found), scores(&sorted[..8]), "{place}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 8);
            // What `keep` refuses is searched through.
            let even = hnsw.nearest(&query, 8, &|row| row.is_multiple_of(4));
            sorted.retain(|row| row.is_multiple_of(4));
            assert_eq!(scores(&even), scores(&sorted[..8]), "{place}");
            assert_eq!(hnsw.nearest(&query, 8, &|_| true), found, "nothing is left behind by the last search");
        }
        assert!(hnsw.nearest(&[1, 2], 8, &|_| true).is_empty());
    }

    /// Whatever the file holds, searching it ends and stays inside.
    #[test]
    fn a_damaged_file_is_noticed_and_harmless() {
        let (folder, path, checksum) = written();
        let whole = std::fs::read(&path).unwrap();
        let query = Line.vector(20);
        for cut in [0, 7, 63, 64, 1000, whole.len() - 1] {
            let other = folder.path().join("cut");
            std::fs::write(&other, &whole[..cut]).unwrap();
            assert!(Hnsw::open(&other, 3).is_err(), "cut off at {cut}");
        }
        assert!(Hnsw::open(&path, 4).is_err(), "of another width");
        for place in (0..HEADER_BYTES).chain((HEADER_BYTES..whole.len()).step_by(5)) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            let other = folder.path().join(format!("damaged-{place}"));
            std::fs::write(&other, bytes).unwrap();
            if let Ok(hnsw) = Hnsw::open(&other, 3) {
                hnsw.nearest(&query, 8, &|_| true).iter().for_each(|&row| assert!(row <= 100));
                assert!(!has_checksum(hnsw.bytes(), &checksum), "{place}");
            }
        }
    }
}
