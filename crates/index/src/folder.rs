//! An index on disk: which model, which store, and the right to write.
//!
//! ```text
//! PATH/index.json          the manifest: format, identity, model, settings, thresholds, and which generation is in use
//! PATH/generations/N/      a store; another N is a migration under way, or one that is done with
//! PATH/uploads/            pictures that were added through the server
//! PATH/lock                held while writing
//! ```
//!
//! Everything that must change together is named by the manifest, and the manifest is replaced by one rename. A migration
//! fills a new generation next to the one in use and then puts it into the manifest; readers of the old one go on
//! undisturbed until they look again ([`Index::newer`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kinsight_files::{FileError, Lock, LockError};

use crate::error::{IndexError, Result};
use crate::manifest::{FORMAT, Manifest};
use crate::migration::MARK;
use crate::point::PointId;
use crate::store::{GraphSettings, LocalStore, StoreWriter, VectorStore, new_identity, uploads_root};
use crate::writer::IndexWriter;
use kinsight_data::{Fingerprint, ModelSource};

const GENERATIONS: &str = "generations";

/// An open index, to read; [`writer`](Self::writer) gives what writes.
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
///
/// What reads cannot write:
/// ```compile_fail
/// # fn no(index: &kinsight_index::Index, point: kinsight_index::Point) {
/// index.store().upsert(&[point]);
/// # }
/// ```
pub struct Index {
    path: PathBuf,
    manifest: Manifest,
    store: Arc<LocalStore>,
    /// Whether there was a writer.
    was_written: AtomicBool,
}

impl Drop for Index {
    fn drop(&mut self) {
        if self.was_written.load(Ordering::Relaxed) && self.require_in_place().is_ok() {
            StoreWriter::tidy(&self.generation_folder(self.manifest.generation));
        }
    }
}

impl Index {
    /// Makes an empty index in `path`, a folder that is new or empty.
    ///
    /// # Errors
    /// [`IndexError::Occupied`], or a failure to write.
    pub fn create(path: &Path, fingerprint: Fingerprint, model: ModelSource, graph: GraphSettings) -> Result<Self> {
        kinsight_files::create_dir_all(path)?;
        let _lock = lock(path)?;
        refuse_occupied(path)?;
        // What a creation that was interrupted left behind holds nothing.
        kinsight_files::remove_dir_all(&path.join(GENERATIONS))?;
        let folder = generation_folder(path, 1);
        kinsight_files::create_dir_all(&folder)?;
        let identity = new_identity()?;
        StoreWriter::create(&folder, fingerprint.embedding, &identity, 0)?;
        let identity = Some(identity);
        let manifest =
            Manifest { format: FORMAT, identity, generation: 1, fingerprint, model, graph, calibration: None };
        manifest.write(path)?;
        Self::with_manifest(path, manifest)
    }

    /// Opens the index in `path`.
    ///
    /// # Errors
    /// [`IndexError::NoIndex`], [`IndexError::FormatVersion`], or files that are not what they should be.
    pub fn open(path: &Path) -> Result<Self> {
        let mut manifest = Manifest::read(path)?;
        loop {
            let opened = Self::with_manifest(path, manifest.clone());
            if opened.is_ok() {
                return opened;
            }
            // Between reading the manifest and opening its generation, another one may have been put in its place.
            let newer = Manifest::read(path)?;
            if newer == manifest {
                return opened;
            }
            manifest = newer;
        }
    }

    fn with_manifest(path: &Path, manifest: Manifest) -> Result<Self> {
        let folder = generation_folder(path, manifest.generation);
        let store = Arc::new(LocalStore::open(&folder, path, manifest.graph.clone())?);
        let (found, expected) = (store.dim(), manifest.fingerprint.embedding);
        if found != expected {
            return Err(IndexError::Width { what: format!("the store in {}", folder.display()), found, expected });
        }
        if manifest.identity.as_deref().is_some_and(|identity| Some(identity) != store.identity()) {
            let reason = "its catalog belongs to another index than its manifest";
            return Err(IndexError::corrupt(&folder, reason));
        }
        Ok(Self { path: path.to_owned(), manifest, store, was_written: AtomicBool::new(false) })
    }

    /// Whether `path` holds an index.
    pub fn exists(path: &Path) -> bool {
        Manifest::file(path).is_file()
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

    pub(crate) fn local(&self) -> &LocalStore {
        &self.store
    }

    /// Allows filters to look at this many values (see [`Filter::cost`](crate::Filter::cost)) in place of 50 million.
    pub fn limit_filter_cost(&self, limit: u64) {
        self.store.limit_filter_cost(limit);
    }

    /// The id of the picture kept at `path` below [`uploads_root`]: the same wherever the index lies.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn upload_id(&self, path: &str) -> Result<PointId> {
        Ok(self.store.ids_of(&uploads_root(&self.path))?(path))
    }

    /// The folders that images were indexed from, wherever they were moved to since; not the index's own uploads.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn roots(&self) -> Result<Vec<PathBuf>> {
        let roots = self.store.roots()?;
        Ok(roots.rows.into_iter().filter(|root| !root.is_uploads).map(|root| root.folder.into()).collect())
    }

    /// The index as it is now, if its manifest was replaced since this one was opened: a migration, new thresholds, or another
    /// index at the same path.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn newer(&self) -> Result<Option<Self>> {
        if Manifest::read(&self.path)? == self.manifest { Ok(None) } else { Self::open(&self.path).map(Some) }
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

    /// The right to write, for as long as the writer lives; one at a time, in all processes. An index of an older format is
    /// brought to this one.
    ///
    /// # Errors
    /// [`IndexError::Busy`] if someone else has it, [`IndexError::Replaced`] if another index lies at the path now, and
    /// [`IndexError::Migrated`] if another generation is in use.
    pub fn writer(&self) -> Result<IndexWriter<'_>> {
        // Without an index there is no lock to take: a folder that was removed is not made again.
        Manifest::read(&self.path)?;
        let lock = lock(&self.path)?;
        let manifest = self.require_in_place()?;
        self.remove_leftovers()?;
        let store = StoreWriter::open(&self.generation_folder(manifest.generation), &self.path)?;
        self.was_written.store(true, Ordering::Relaxed);
        let identity = store.upgrade()?;
        // Read by the connection that is open already: it tells whether this is the store that was opened.
        self.store.revision()?;
        if self.store.identity() != Some(&identity) {
            return Err(IndexError::Replaced { path: self.path.clone() });
        }
        let manifest = match manifest.format {
            FORMAT => manifest,
            _ => {
                let upgraded = Manifest { format: FORMAT, identity: Some(identity), ..manifest };
                upgraded.write(&self.path)?;
                upgraded
            }
        };
        Ok(IndexWriter::new(self, manifest, store, lock))
    }

    /// The manifest at the path now, if it is of the index and the generation that were opened.
    pub(crate) fn require_in_place(&self) -> Result<Manifest> {
        let found = match Manifest::read(&self.path) {
            Err(IndexError::NoIndex { path }) => return Err(IndexError::Replaced { path }),
            found => found?,
        };
        // An index of format 1 has no identity in its manifest; its catalog's is compared when it is opened.
        if found.identity.is_some() && found.identity.as_deref() != self.store.identity() {
            // Unless it was brought to this format since it was opened, which its catalog tells.
            self.store.revision()?;
            if found.identity.as_deref() != self.store.identity() {
                return Err(IndexError::Replaced { path: self.path.clone() });
            }
        }
        match found.generation == self.manifest.generation {
            true => Ok(found),
            false => Err(IndexError::Migrated { path: self.path.clone() }),
        }
    }

    /// The folder of a generation.
    pub(crate) fn generation_folder(&self, generation: u64) -> PathBuf {
        generation_folder(&self.path, generation)
    }

    /// Removes the generation that a migration replaced and was interrupted before removing; one under way carries a mark.
    fn remove_leftovers(&self) -> Result<()> {
        let folder = self.path.join(GENERATIONS);
        let current = self.manifest.generation.to_string();
        for entry in std::fs::read_dir(&folder).map_err(FileError::at("read", &folder))? {
            let entry = entry.map_err(FileError::at("read", &folder))?;
            let folder = entry.path();
            if entry.file_name() == *current {
                kinsight_files::remove_file(&folder.join(MARK))?;
            } else if !folder.join(MARK).is_file() {
                kinsight_files::remove_dir_all(&folder)?;
            }
        }
        Ok(())
    }
}

fn generation_folder(path: &Path, generation: u64) -> PathBuf {
    path.join(GENERATIONS).join(generation.to_string())
}

fn lock(path: &Path) -> Result<Lock> {
    Lock::acquire(path, "kinsight").map_err(|error| match error {
        LockError::Held { path, holder } => IndexError::Busy { path, holder },
        LockError::File(error) => error.into(),
    })
}

/// A folder with anything in it but the traces of an interrupted creation is not ours to fill.
fn refuse_occupied(path: &Path) -> Result<()> {
    let occupied = |found| Err(IndexError::Occupied { path: path.to_owned(), found });
    if Index::exists(path) {
        return occupied("already contains an index");
    }
    for entry in std::fs::read_dir(path).map_err(FileError::at("read", path))? {
        let name = entry.map_err(FileError::at("read", path))?.file_name();
        if name != "lock" && name != GENERATIONS && name != "index.json.partial" {
            return occupied("is not empty");
        }
    }
    Ok(())
}
