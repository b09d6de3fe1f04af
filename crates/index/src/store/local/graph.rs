//! The graph of the approximate search: HNSW, built by usearch over the rows, searched in a file laid out for it.
//!
//! The graph finds candidates; the order of the hits always comes from the exact vectors. So it may work on quantized
//! vectors: one signed byte a value, a quarter of the memory traffic. Rows appended after it was made are compared exactly
//! until it is extended. It is a by-product: without its files search is exact. Here it is opened and checked;
//! [`building`](super::building) makes it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kinsight_files::{FileError, MappedFile};
use serde::{Deserialize, Serialize};

use super::hnsw::Hnsw;
use crate::error::{IndexError, Result};
use crate::store::GraphStats;

/// When there is a graph, and how it is made. The defaults of M, efConstruction and ef are usearch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphSettings {
    /// Up to this many numbers (rows times width) search is exact and there is no graph. The default is what two cores
    /// read in about 20 ms: 260,000 images at width 384.
    pub exact_values: usize,
    /// Edges of a node, M.
    pub connectivity: usize,
    /// Candidates while building, efConstruction.
    #[serde(alias = "expansion_add")]
    pub ef_construction: usize,
    /// The recall that the ef of searches is raised for.
    pub recall_at_10: f64,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self { exact_values: 100_000_000, connectivity: 16, ef_construction: 128, recall_at_10: 0.97 }
    }
}

/// Bytes of a graph that is checked when it is opened; a larger one is checked in the background meanwhile.
const SMALL_BYTES: usize = 16 << 20;

const POINTER: &str = "graph.json";

/// The graph as opened: mapped, not loaded.
#[derive(Clone)]
pub(super) struct Graph {
    hnsw: Arc<Hnsw>,
    /// Whether the file has its checksum, once that is known.
    sound: Arc<OnceLock<bool>>,
    pointer: Pointer,
}

/// What `graph.json` says: which files are the graph, what they must be, and how good it is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pointer {
    /// The index that it belongs to; not in format 1.
    #[serde(default)]
    pub identity: Option<String>,
    /// What usearch reads, to add rows.
    pub file: String,
    /// BLAKE3 of it; not in format 1, whose graphs are made anew instead of extended.
    #[serde(default)]
    pub checksum: Option<String>,
    /// What is searched.
    #[serde(alias = "walk")]
    pub hnsw: String,
    /// BLAKE3 of it.
    #[serde(alias = "walk_checksum")]
    pub hnsw_checksum: String,
    pub stats: GraphStats,
}

impl Graph {
    /// The graph in `folder` over vectors of width `dim`, if there is one that can be read; the parts of `known` again that
    /// are still the same.
    ///
    /// Damage in the file gives worse candidates, never a crash. So a large file is searched while it is being checked, and
    /// search becomes exact if it turns out to be damaged.
    pub fn open(folder: &Path, dim: usize, identity: Option<&str>, known: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let pointer = Pointer::read(folder).ok().flatten()?;
        if pointer.identity.as_deref().is_some_and(|found| Some(found) != identity) {
            return None;
        }
        if let Some(known) = known
            && known.pointer.hnsw == pointer.hnsw
            && known.pointer.hnsw_checksum == pointer.hnsw_checksum
        {
            return Some(match known.pointer == pointer {
                true => known.clone(),
                false => Arc::new(Self { pointer, ..known.as_ref().clone() }),
            });
        }
        // A by-product: without it search is exact, and `check` says what is wrong with it.
        let hnsw = Arc::new(Hnsw::open(&folder.join(&pointer.hnsw), dim).ok()?);
        let graph = Arc::new(Self { hnsw, sound: Arc::default(), pointer });
        if graph.hnsw.bytes().len() <= SMALL_BYTES {
            graph.checked();
        } else {
            let graph = graph.clone();
            // Where there can be no further thread, it is checked when that is asked for.
            let _ = std::thread::Builder::new().name("graph check".into()).spawn(move || graph.checked());
        }
        Some(graph)
    }

    /// Whether it is not known to be damaged.
    pub fn is_sound(&self) -> bool {
        self.sound.get() != Some(&false)
    }

    /// Whether the file has the checksum that it was written with; waits until that is known.
    pub fn checked(&self) -> bool {
        *self.sound.get_or_init(|| has_checksum(self.hnsw.bytes(), &self.pointer.hnsw_checksum))
    }

    /// Reads all of the graph in `folder`; what is wrong with it, if there is one and anything is.
    pub fn check(folder: &Path, dim: usize) -> Option<String> {
        let read = || -> Result<()> {
            let Some(pointer) = Pointer::read(folder)? else { return Ok(()) };
            let path = folder.join(&pointer.hnsw);
            let unlike = |path: &Path| IndexError::corrupt(path, "its checksum does not match");
            if !has_checksum(Hnsw::open(&path, dim)?.bytes(), &pointer.hnsw_checksum) {
                return Err(unlike(&path));
            }
            let path = folder.join(&pointer.file);
            let bytes = MappedFile::open(&path)?;
            match pointer.checksum.is_none_or(|checksum| has_checksum(&bytes, &checksum)) {
                true => Ok(()),
                false => Err(unlike(&path)),
            }
        };
        let problem = read().err()?;
        Some(format!("the search graph: {problem}; search is exact without it, and `index compact` rebuilds it"))
    }

    /// Facts.
    pub fn stats(&self) -> &GraphStats {
        &self.pointer.stats
    }

    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    pub fn hnsw(&self) -> &Hnsw {
        &self.hnsw
    }

    /// Up to `count` near rows that `keep` lets through, in no exact order.
    pub fn candidates(&self, query: &[f32], count: usize, keep: &(dyn Fn(u32) -> bool + Sync)) -> Vec<u32> {
        self.hnsw.nearest(&quantized(query), count, keep)
    }
}

impl Pointer {
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::at("read", &path)(error).into()),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| IndexError::corrupt(&path, error.to_string()))
    }

    /// Puts it in place: from then on these files are the graph.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = Self::path(folder);
        let text = serde_json::to_string_pretty(self).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
        Ok(kinsight_files::write(&path, text.as_bytes())?)
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join(POINTER)
    }
}

/// Whether the BLAKE3 of `bytes` is `checksum`.
pub(super) fn has_checksum(bytes: &[u8], checksum: &str) -> bool {
    blake3::hash(bytes).to_hex().as_str() == checksum
}

/// A unit row as signed bytes. Four standard deviations of a value fill the range; the few beyond are cut off.
pub(super) fn quantized(row: &[f32]) -> Vec<i8> {
    let scale = 127.0 / 4.0 * (row.len() as f32).sqrt();
    row.iter().map(|value| (value * scale).round().clamp(-127.0, 127.0) as i8).collect()
}
