//! An index on disk: which model, which store, and who may write.
//!
//! ```text
//! PATH/index.json          the manifest: format, model, settings, thresholds, and which generation is in use
//! PATH/generations/N/      a store; another N is a migration under way, or one that is done with
//! PATH/lock                held by whoever writes
//! ```
//!
//! Everything that must change together is named by the manifest, and the manifest is replaced by one rename. A migration
//! fills a new generation beside the one in use and then puts it into the manifest; those who still read the old one go on
//! undisturbed until they look again ([`Index::newer`]).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinsight_data::{Fingerprint, ModelSource};
use serde::{Deserialize, Serialize};

use crate::atomic_write::{sync_folder, write_atomically};
use crate::calibration::Calibration;
use crate::error::{IndexError, Result, io_error};
use crate::migration::MARK;
use crate::point::{Point, PointId};
use crate::store::{GraphSettings, LocalStore, VectorStore};

/// Version of the folder's format. It changes when an older kinsight would misread what a newer one wrote.
pub const FORMAT: u64 = 1;

const MANIFEST: &str = "index.json";
const GENERATIONS: &str = "generations";
const LOCK: &str = "lock";

/// What `index.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format of whoever wrote it.
    pub format: u64,
    /// The store in use.
    pub generation: u64,
    /// The model of the vectors.
    pub fingerprint: Fingerprint,
    /// Where that model was, for those who search without naming it.
    pub model: ModelSource,
    /// When there is a graph, and how it is made.
    pub graph: GraphSettings,
    /// What scores mean, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// An open index.
///
/// # Example
/// ```
/// use kinsight_index::{Fingerprint, GraphSettings, Index, ModelSource, Payload, Point, PointId, Value, VectorQuery};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let fingerprint = Fingerprint {
/// #     backbone: "hash".into(), fine_tuning: None, preprocess: "{}".into(), embedding: 2, library: "0.1.0".into(),
/// #     precision: None, pooling: None };
/// # let model = ModelSource { run: None, backbone: "kinsight_nano".into() };
/// let index = Index::create(&folder.path().join("index"), fingerprint, model, GraphSettings::default())?;
/// let point = |name: &str, vector: [f32; 2]| Point {
///     id: PointId::of_path("photos", name),
///     vector: vector.into(),
///     payload: Payload::from([("path".into(), Value::from(name))]),
/// };
/// index.writer()?.upsert(&[point("a.jpg", [1.0, 0.0]), point("b.jpg", [0.0, 1.0])])?;
/// let hits = index.store().search(&VectorQuery::new(vec![0.8, 0.6], 1))?;
/// assert_eq!(hits[0][0].payload["path"], Value::from("a.jpg"));
/// # Ok::<(), kinsight_index::IndexError>(())
/// ```
pub struct Index {
    path: PathBuf,
    manifest: Manifest,
    store: Arc<LocalStore>,
}

impl Index {
    /// Makes an empty index in `path`, a folder that is new or empty.
    ///
    /// # Errors
    /// [`IndexError::Occupied`], or a failure to write.
    pub fn create(path: &Path, fingerprint: Fingerprint, model: ModelSource, graph: GraphSettings) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(io_error("create", path))?;
        let _lock = lock(path)?;
        refuse_occupied(path)?;
        let folder = generation_folder(path, 1);
        // What a creation that was interrupted left behind holds nothing.
        let _ = std::fs::remove_dir_all(path.join(GENERATIONS));
        std::fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let store = Arc::new(LocalStore::create(&folder, fingerprint.embedding, graph.clone())?);
        sync_folder(&folder)?;
        let manifest = Manifest { format: FORMAT, generation: 1, fingerprint, model, graph, calibration: None };
        write_manifest(path, &manifest)?;
        Ok(Self { path: path.to_owned(), manifest, store })
    }

    /// Opens the index in `path`.
    ///
    /// # Errors
    /// [`IndexError::NoIndex`], [`IndexError::FormatVersion`], or files that are not what they should be.
    pub fn open(path: &Path) -> Result<Self> {
        let mut manifest = read_manifest(path)?;
        loop {
            let generation = manifest.generation;
            let opened = Self::with_manifest(path, manifest);
            if opened.is_ok() {
                return opened;
            }
            // Between reading the manifest and opening its generation, a migration may have put another one in its place.
            manifest = read_manifest(path)?;
            if manifest.generation == generation {
                return opened;
            }
        }
    }

    fn with_manifest(path: &Path, manifest: Manifest) -> Result<Self> {
        let folder = generation_folder(path, manifest.generation);
        let store = Arc::new(LocalStore::open(&folder, manifest.graph.clone())?);
        let (found, expected) = (store.dim(), manifest.fingerprint.embedding);
        if found != expected {
            return Err(IndexError::Width { what: format!("the store in {}", folder.display()), found, expected });
        }
        Ok(Self { path: path.to_owned(), manifest, store })
    }

    /// Whether `path` holds an index.
    pub fn exists(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Model and settings.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What searches and reads.
    pub fn store(&self) -> &dyn VectorStore {
        self.store.as_ref()
    }

    /// The index as it is now, if its manifest was replaced since this one was opened (a migration, new thresholds).
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn newer(&self) -> Result<Option<Self>> {
        if read_manifest(&self.path)? == self.manifest { Ok(None) } else { Self::open(&self.path).map(Some) }
    }

    /// Refuses a model that is not the index's.
    ///
    /// # Errors
    /// [`IndexError::OtherModel`] naming the differences.
    pub fn require_model(&self, model: &Fingerprint) -> Result<()> {
        let differences = self.manifest.fingerprint.differences(model);
        if differences.is_empty() {
            return Ok(());
        }
        Err(IndexError::OtherModel { path: self.path.clone(), differences })
    }

    /// The right to write, for as long as the writer lives; one at a time, in all processes.
    ///
    /// # Errors
    /// [`IndexError::Busy`] if someone else has it.
    pub fn writer(&self) -> Result<IndexWriter<'_>> {
        let lock = lock(&self.path)?;
        if read_manifest(&self.path)?.generation != self.manifest.generation {
            let reason = "the index was migrated since it was opened; open it again";
            return Err(IndexError::corrupt(&self.path.join(MANIFEST), reason));
        }
        self.remove_leftovers();
        Ok(IndexWriter { index: self, _lock: lock })
    }

    /// The folder of a generation.
    pub(crate) fn generation_folder(&self, generation: u64) -> PathBuf {
        generation_folder(&self.path, generation)
    }

    /// Puts another manifest in place of this one; the caller holds the lock.
    pub(crate) fn replace_manifest(&self, manifest: &Manifest) -> Result<()> {
        write_manifest(&self.path, manifest)
    }

    /// Removes the generation that a migration replaced and was interrupted before removing; one under way carries a mark.
    fn remove_leftovers(&self) {
        let Ok(entries) = std::fs::read_dir(self.path.join(GENERATIONS)) else { return };
        let current = self.manifest.generation.to_string();
        for entry in entries.flatten() {
            let folder = entry.path();
            if entry.file_name() == *current {
                let _ = std::fs::remove_file(folder.join(MARK));
            } else if !folder.join(MARK).is_file() {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

/// An index that may be written to.
pub struct IndexWriter<'a> {
    index: &'a Index,
    _lock: File,
}

impl IndexWriter<'_> {
    /// The index.
    pub fn index(&self) -> &Index {
        self.index
    }

    /// Puts points in, in place of those with the same ids; on the disk when it returns.
    ///
    /// # Errors
    /// As [`VectorStore::upsert`].
    pub fn upsert(&self, points: &[Point]) -> Result<()> {
        self.index.store.upsert(points)
    }

    /// Takes points out; returns how many there were.
    ///
    /// # Errors
    /// As [`VectorStore::remove`].
    pub fn remove(&self, ids: &[PointId]) -> Result<usize> {
        self.index.store.remove(ids)
    }

    /// Keeps what scores mean; `None` forgets it.
    ///
    /// # Errors
    /// A failure to write.
    pub fn set_calibration(&self, calibration: Option<Calibration>) -> Result<()> {
        self.index.replace_manifest(&Manifest { calibration, ..self.index.manifest.clone() })
    }

    /// Makes or extends the graph where that is worth it.
    ///
    /// # Errors
    /// As [`VectorStore::optimize`].
    pub fn optimize(&self, progress: &dyn Fn(usize, usize)) -> Result<()> {
        self.index.store.optimize(progress)
    }
}

fn generation_folder(path: &Path, generation: u64) -> PathBuf {
    path.join(GENERATIONS).join(generation.to_string())
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let file = path.join(MANIFEST);
    let text = std::fs::read_to_string(&file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            IndexError::NoIndex { path: path.to_owned() }
        }
        _ => IndexError::Io { action: "read", path: file.clone(), source },
    })?;
    let damaged = |error: serde_json::Error| IndexError::corrupt(&file, format!("not a manifest of an index: {error}"));
    // The version first: a newer manifest may have other keys.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(FORMAT) => serde_json::from_value(value).map_err(damaged),
        Some(found) => Err(IndexError::FormatVersion { path: path.to_owned(), found, expected: FORMAT }),
        None => Err(IndexError::corrupt(&file, "not a manifest of an index: it has no format number")),
    }
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<()> {
    let file = path.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest).map_err(|error| IndexError::corrupt(&file, error.to_string()))?;
    write_atomically(&file, text.as_bytes())
}

fn lock(path: &Path) -> Result<File> {
    let file = path.join(LOCK);
    let opened = File::options().create(true).write(true).truncate(false).open(&file);
    let opened = opened.map_err(io_error("open", &file))?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => Err(IndexError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &file)(source)),
    }
}

/// A folder with anything in it but the traces of an interrupted creation is not ours to fill.
fn refuse_occupied(path: &Path) -> Result<()> {
    let occupied = |found| Err(IndexError::Occupied { path: path.to_owned(), found });
    if Index::exists(path) {
        return occupied("holds an index already");
    }
    for entry in std::fs::read_dir(path).map_err(io_error("read", path))? {
        let name = entry.map_err(io_error("read", path))?.file_name();
        if name != LOCK && name != GENERATIONS && name != "index.json.partial" {
            return occupied("is not empty");
        }
    }
    Ok(())
}
