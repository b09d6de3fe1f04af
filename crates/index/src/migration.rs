//! Moving an index to another model while it goes on answering.
//!
//! Every image is embedded again into a new generation beside the one in use. Nothing that searches notices until the last
//! step, one rename that names the new generation, the new model and no thresholds (the old ones meant the old model's
//! scores). Interrupted, the new generation lies there and the next migration to the same model goes on from it; one to
//! another model starts over.

use std::path::{Path, PathBuf};

use kinsight_data::{EvalTransform, Fingerprint, ImageEmbedder, ModelSource};
use serde::{Deserialize, Serialize};

use crate::atomic_write::write_atomically;
use crate::error::{IndexError, Result, io_error};
use crate::folder::{Index, IndexWriter, Manifest};
use crate::indexing::{embed, prepare};
use crate::payload::{Payload, fields};
use crate::point::{Point, PointId};
use crate::store::{Cursor, LocalStore, VectorStore};

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
    manifest: Manifest,
    target: LocalStore,
    folder: PathBuf,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Mark {
    fingerprint: Fingerprint,
}

impl<'a> Migration<'a> {
    /// Begins or goes on. Nobody else can write to the index until it is dropped or finished.
    ///
    /// # Errors
    /// [`IndexError::Busy`]; [`IndexError::Setting`] if the index is that model's already; a failure to write.
    pub fn start(index: &'a Index, fingerprint: Fingerprint, model: ModelSource) -> Result<Self> {
        let writer = index.writer()?;
        let old = index.manifest();
        if old.fingerprint == fingerprint {
            let expected = "another model than the one the index was made with";
            return Err(IndexError::setting("the model", "the same", expected));
        }
        let manifest =
            Manifest { generation: old.generation + 1, fingerprint, model, calibration: None, ..old.clone() };
        let folder = index.generation_folder(manifest.generation);
        let mark = Mark { fingerprint: manifest.fingerprint.clone() };
        let target = match resumable(&folder, &mark) {
            true => LocalStore::open(&folder, manifest.graph.clone())?,
            false => begin(&folder, &mark, &manifest)?,
        };
        Ok(Self { writer, manifest, target, folder })
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
        let differences = self.manifest.fingerprint.differences(embedder.fingerprint());
        if !differences.is_empty() {
            return Err(IndexError::OtherModel { path: self.folder.clone(), differences });
        }
        let transform = EvalTransform::new(embedder.preprocess())?;
        let old = self.writer.index().store();
        let total = old.len()?;
        let mut report = MigrationReport::default();
        let (mut cursor, mut seen) = (Some(Cursor::default()), 0);
        while let Some(start) = cursor {
            let (points, next) = old.scroll(start, batch_size.max(1), None)?;
            seen += points.len();
            self.migrate_batch(points, embedder, &transform, &mut report)?;
            if !progress(seen, total) {
                return Ok(report);
            }
            cursor = next;
        }
        self.target.optimize(&|_, _| ())?;
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
        let present = self.target.get(&ids)?;
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
        self.target.upsert(&points)
    }

    /// Puts the new generation in place of the old one and removes that.
    ///
    /// # Errors
    /// A failure to write; the old generation is in use then.
    pub fn finish(self) -> Result<Index> {
        let mark = self.folder.join(MARK);
        let index = self.writer.index();
        let path = index.path().to_owned();
        drop(self.target);
        put_in_place(index, &self.manifest, &mark)?;
        Index::open(&path)
    }
}

/// Leaves the rows of removed and replaced images behind: a copy of what is there, put in place as a migration is.
/// `progress` hears (done, of how many). An interrupted copy is thrown away by the next one.
///
/// # Errors
/// [`IndexError::Busy`]; a failure to read or write, after which the index is as it was.
pub fn compact(index: &Index, progress: &dyn Fn(usize, usize)) -> Result<Index> {
    let writer = index.writer()?;
    let old = index.manifest();
    let manifest = Manifest { generation: old.generation + 1, ..old.clone() };
    let folder = index.generation_folder(manifest.generation);
    // No model has this fingerprint, so that no migration goes on from here.
    let fingerprint = Fingerprint { library: "compaction".to_owned(), ..old.fingerprint.clone() };
    let target = begin(&folder, &Mark { fingerprint }, &manifest)?;
    let total = index.store().len()?;
    let (mut cursor, mut done) = (Some(Cursor::default()), 0);
    while let Some(start) = cursor {
        let (points, next) = index.store().scroll(start, 1024, None)?;
        target.upsert(&points)?;
        done += points.len();
        progress(done, total);
        cursor = next;
    }
    target.optimize(&|_, _| ())?;
    drop(target);
    put_in_place(index, &manifest, &folder.join(MARK))?;
    drop(writer);
    Index::open(index.path())
}

/// Names a whole new generation as the one in use.
fn put_in_place(index: &Index, manifest: &Manifest, mark: &Path) -> Result<()> {
    index.replace_manifest(manifest)?;
    // From here on it is done; what follows is tidying up, which the next writer does if it is interrupted.
    let _ = std::fs::remove_file(mark);
    let _ = std::fs::remove_dir_all(index.generation_folder(index.manifest().generation));
    Ok(())
}

/// The file that an image was indexed from.
pub fn file_of(payload: &Payload) -> PathBuf {
    let text = |name: &str| payload.get(name).map(|value| value.text()).unwrap_or_default();
    Path::new(&text(fields::ROOT)).join(text(fields::PATH))
}

fn resumable(folder: &Path, mark: &Mark) -> bool {
    let text = std::fs::read_to_string(folder.join(MARK)).unwrap_or_default();
    serde_json::from_str::<Mark>(&text).is_ok_and(|found| found == *mark)
}

/// An empty store; the mark comes last, so that a generation with a mark is whole.
fn begin(folder: &Path, mark: &Mark, manifest: &Manifest) -> Result<LocalStore> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(io_error("remove", folder))?;
    }
    std::fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let store = LocalStore::create(folder, manifest.fingerprint.embedding, manifest.graph.clone())?;
    let path = folder.join(MARK);
    let text = serde_json::to_string(mark).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
    write_atomically(&path, text.as_bytes())?;
    Ok(store)
}
