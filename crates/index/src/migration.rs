//! Moving an index to another model while it goes on answering.
//!
//! Every image is embedded again into a new generation next to the one in use. Readers are unaffected until the final rename,
//! which names the new generation, the new model and no thresholds (the old ones meant the old model's scores). Interrupted,
//! the new generation stays and the next migration to the same model goes on from it; one to another model starts over.

use std::path::{Path, PathBuf};

use kinsight_data::{EvalTransform, Fingerprint, ImageEmbedder, ModelSource};
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::error::{IndexError, Result};
use crate::folder::Index;
use crate::indexing::{embed, prepare};
use crate::manifest::Manifest;
use crate::point::{Point, PointId};
use crate::store::{Cursor, LocalStore, StoreWriter, VectorStore};
use crate::writer::{IndexWriter, file_of};

/// Lies in a generation that is being filled, and says for which model.
pub(crate) const MARK: &str = "migration.json";

/// What a migration did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MigrationReport {
    /// Images embedded in this run.
    pub embedded: usize,
    /// Images that an interrupted run had embedded.
    pub done_before: usize,
    /// Images that are no longer where they were indexed from, or cannot be read, with reasons.
    pub missing: Vec<(PathBuf, String)>,
    /// Whether the run reached the end.
    pub complete: bool,
}

/// A migration under way.
pub struct Migration<'a> {
    writer: IndexWriter<'a>,
    target: Generation,
}

/// A generation that is to replace the one in use.
struct Generation {
    folder: PathBuf,
    manifest: Manifest,
    store: LocalStore,
    writer: StoreWriter,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Mark {
    fingerprint: Fingerprint,
}

impl<'a> Migration<'a> {
    /// Begins or goes on. Nothing else can write to the index until it is dropped or finished.
    ///
    /// # Errors
    /// [`IndexError::Busy`]; [`IndexError::Setting`] if the index is that model's already; a failure to write.
    pub fn start(index: &'a Index, fingerprint: Fingerprint, model: ModelSource) -> Result<Self> {
        let writer = index.writer()?;
        let old = writer.manifest();
        if old.fingerprint == fingerprint {
            let expected = "another model than the one the index was made with";
            return Err(IndexError::setting("the model", "the same", expected));
        }
        let mark = Mark { fingerprint: fingerprint.clone() };
        let manifest = Manifest { fingerprint, model, calibration: None, ..old.clone() };
        let target = Generation::after(&writer, manifest, &mark, true)?;
        Ok(Self { writer, target })
    }

    /// Embeds what has not been embedded yet. `progress` hears (done, of how many) and may stop the run by returning false.
    ///
    /// # Errors
    /// [`IndexError::OtherModel`] if `embedder` is not the one the migration was begun for; a failure of the model or the
    /// disk.
    pub fn run(
        &self,
        embedder: &dyn ImageEmbedder,
        batch_size: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<MigrationReport> {
        let differences = self.target.manifest.fingerprint.differences(embedder.fingerprint());
        if !differences.is_empty() {
            return Err(IndexError::OtherModel { path: self.target.folder.clone(), differences });
        }
        let transform = EvalTransform::new(embedder.preprocess())?;
        let old = self.writer.index().store();
        let total = old.len()?;
        let mut report = MigrationReport::default();
        let (mut cursor, mut seen) = (Some(Cursor::default()), 0);
        while let Some(start) = cursor {
            let (points, next) = old.scroll(start, batch_size.max(1), None, &Cancel::new())?;
            seen += points.len();
            self.migrate_batch(points, embedder, &transform, &mut report)?;
            if !progress(seen, total) {
                return Ok(report);
            }
            cursor = next;
        }
        self.target.optimize()?;
        report.complete = true;
        Ok(report)
    }

    fn migrate_batch(
        &self,
        points: Vec<Point>,
        embedder: &dyn ImageEmbedder,
        transform: &EvalTransform,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let ids: Vec<PointId> = points.iter().map(|point| point.id).collect();
        let present = self.target.store.get(&ids)?;
        let pending: Vec<Point> =
            points.into_iter().zip(&present).filter(|(_, present)| present.is_none()).map(|(point, _)| point).collect();
        report.done_before += ids.len() - pending.len();
        let files: Vec<PathBuf> = pending.iter().map(|point| file_of(&point.payload)).collect();
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let (mut pixels, mut ready) = (Vec::new(), Vec::new());
        for ((point, file), prepared) in pending.iter().zip(&files).zip(prepare::prepare_files(&paths, transform)) {
            match prepared {
                Ok(prepared) => {
                    let mut payload = point.payload.clone();
                    payload.extend(prepared.facts);
                    pixels.extend(prepared.pixels);
                    ready.push((point.id, payload));
                }
                Err(reason) => report.missing.push((file.clone(), reason)),
            }
        }
        let vectors = embed(embedder, pixels, ready.len())?;
        report.embedded += ready.len();
        let points: Vec<Point> =
            ready.into_iter().zip(vectors).map(|((id, payload), vector)| Point { id, vector, payload }).collect();
        self.target.writer.upsert(&points)
    }

    /// Puts the new generation in place of the old one and removes that.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if a vector of an interrupted run was damaged since; a failure to write. The old generation is
    /// in use then.
    pub fn finish(self) -> Result<Index> {
        self.target.put_in_place(&self.writer)
    }
}

/// Leaves the rows of removed and replaced images behind: a copy of what is there, put in place as a migration is.
/// `progress` hears (done, of how many). An interrupted copy is thrown away by the next one.
///
/// # Errors
/// [`IndexError::Busy`]; [`IndexError::Corrupt`] naming the rows whose vectors are damaged, which are not copied as if they
/// were whole; a failure to read or write. The index is as it was then.
pub fn compact(index: &Index, progress: &dyn Fn(usize, usize)) -> Result<Index> {
    let writer = index.writer()?;
    refuse_rotten(index.local(), index.path())?;
    // No model has this fingerprint, so that no migration goes on from here.
    let old = writer.manifest().clone();
    let fingerprint = Fingerprint { library: "compaction".to_owned(), ..old.fingerprint.clone() };
    let target = Generation::after(&writer, old, &Mark { fingerprint }, false)?;
    let total = index.store().len()?;
    let (mut cursor, mut done) = (Some(Cursor::default()), 0);
    while let Some(start) = cursor {
        let (points, next) = index.local().scroll_sound(start, 1024)?;
        target.writer.upsert(&points)?;
        done += points.len();
        progress(done, total);
        cursor = next;
    }
    target.optimize()?;
    target.put_in_place(&writer)
}

impl Generation {
    /// The one after the one in use: an empty one or, if `resume` is set, that of an interrupted run with the same `mark`.
    fn after(writer: &IndexWriter<'_>, manifest: Manifest, mark: &Mark, resume: bool) -> Result<Self> {
        let index = writer.index();
        let manifest = Manifest { generation: manifest.generation + 1, ..manifest };
        let folder = index.generation_folder(manifest.generation);
        let open = || LocalStore::open(&folder, index.path(), manifest.graph.clone());
        let of_this_index = |store: LocalStore| store.identity() == manifest.identity.as_deref();
        if !resume || !resumable(&folder, mark) || !open().is_ok_and(of_this_index) {
            begin(&folder, index, &manifest, mark)?;
        }
        let (store, writer) = (open()?, StoreWriter::open(&folder, index.path())?);
        // Images name their roots by number.
        writer.take_roots(&index.local().roots()?)?;
        Ok(Self { folder, manifest, store, writer })
    }

    fn optimize(&self) -> Result<()> {
        self.writer.optimize(&self.store, &|| Ok(()), &|_, _| ())
    }

    /// Names it as the one in use.
    fn put_in_place(self, writer: &IndexWriter<'_>) -> Result<Index> {
        let index = writer.index();
        let old = index.require_in_place()?;
        refuse_rotten(&self.store, index.path())?;
        let Self { folder, manifest, store, writer: own } = self;
        // The writer last, so that its catalog is left in one file.
        drop(store);
        drop(own);
        manifest.write(index.path())?;
        // From here on it is done; what follows is tidying up, which the next writer does if it fails or is interrupted.
        let _ = kinsight_files::remove_file(&folder.join(MARK));
        let _ = kinsight_files::remove_dir_all(&index.generation_folder(old.generation));
        Index::open(index.path())
    }
}

/// Refuses to go on with vectors that are not what they were written as.
fn refuse_rotten(store: &LocalStore, path: &Path) -> Result<()> {
    let rotten = store.rotten_rows(&|_, _| ())?;
    if rotten.is_empty() {
        return Ok(());
    }
    let more = rotten.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let named = rotten.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    Err(IndexError::corrupt(path, format!("damaged: {named}{more}")))
}

/// Damaged rows that a message names.
const MOST_NAMED: usize = 5;

fn resumable(folder: &Path, mark: &Mark) -> bool {
    let text = std::fs::read_to_string(folder.join(MARK)).unwrap_or_default();
    serde_json::from_str::<Mark>(&text).is_ok_and(|found| found == *mark)
}

/// An empty store; the mark comes last, so that a generation with a mark is whole.
fn begin(folder: &Path, index: &Index, manifest: &Manifest, mark: &Mark) -> Result<()> {
    kinsight_files::remove_dir_all(folder)?;
    kinsight_files::create_dir_all(folder)?;
    let identity = manifest.identity.as_deref().unwrap_or_default();
    // Its revisions go on from the old one's: what is cached by revision is outdated by the new generation.
    StoreWriter::create(folder, manifest.fingerprint.embedding, identity, index.store().revision()? + 1)?;
    let path = folder.join(MARK);
    let text = serde_json::to_string(mark).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
    Ok(kinsight_files::write(&path, text.as_bytes())?)
}
