//! A collection: an index, the model it was made with, and the pictures that were added through the server.
//!
//! Pictures indexed from a folder stay where they are. Those added here are kept in the index' own folder, under a name
//! that is the hash of their content: written, synced and renamed before the index learns of them, so that an answer 201
//! means both are on the disk, and a crash in between leaves at most a file that nobody refers to.

mod hosted;
mod open;
mod uploads;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use bytes::Bytes;
use kinsight_data::RgbImage;
use kinsight_index::payload::fields;
use kinsight_index::{
    Filter, Fingerprint, Index, IndexError, Payload, Point, PointId, Value, VectorQuery, content_hash, pixel_hash,
};
use serde::Serialize;

pub(crate) use hosted::{Hosted, made_before};
pub use open::CollectionSpec;
pub(crate) use open::{Opener, open_all};

use crate::api::Failure;
use crate::inference::HostedModel;

/// An open collection. A request keeps the one it began with, though another takes its place meanwhile.
pub(crate) struct Collection {
    spec: CollectionSpec,
    index: Index,
    model: Arc<HostedModel>,
    model_name: String,
    /// The index lets one writer in; requests of this server wait for each other here.
    writing: Mutex<()>,
    /// Labels with their numbers of images, while nothing is written.
    labels: Mutex<Option<LabelCounts>>,
}

/// Labels with their numbers of images, the most frequent first.
pub(crate) type LabelCounts = Arc<Vec<(String, usize)>>;

/// An answer of the index.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub id: PointId,
    pub score: f32,
    pub payload: Payload,
}

/// A picture to add.
pub(crate) struct NewImage<'a> {
    pub bytes: Bytes,
    pub picture: &'a RgbImage,
    pub vector: Vec<f32>,
    /// Named by the client: `label`, and fields of its own.
    pub fields: Vec<(String, String)>,
}

/// Scores from which a result counts as more than a neighbor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Thresholds {
    pub duplicate: f64,
    pub same: f64,
    pub similar: f64,
}

/// Images read at once while labels are counted.
const SCROLL: usize = 4096;
/// Fields of its own that a client may give an image, and their longest text.
const MAX_OWN_FIELDS: usize = 32;
const MAX_OWN_FIELD_BYTES: usize = 1024;

impl Collection {
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn spec(&self) -> &CollectionSpec {
        &self.spec
    }

    pub fn model(&self) -> &Arc<HostedModel> {
        &self.model
    }

    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    pub fn fingerprint(&self) -> &Fingerprint {
        &self.index.manifest().fingerprint
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    pub fn len(&self) -> Result<usize, Failure> {
        Ok(self.index.store().len()?)
    }

    /// The `k` nearest of a unit vector.
    pub fn search(&self, vector: Vec<f32>, k: usize, filter: Option<Filter>) -> Result<Vec<Found>, Failure> {
        let query = VectorQuery { filter, ..VectorQuery::new(vector, k) };
        let hits = self.index.store().search(&query)?.pop().unwrap_or_default();
        Ok(hits.into_iter().map(|hit| Found { id: hit.id, score: hit.score, payload: hit.payload }).collect())
    }

    pub fn get(&self, id: PointId) -> Result<Option<Point>, Failure> {
        Ok(self.index.store().get(&[id])?.pop().flatten())
    }

    /// Up to `limit` images in the store's own order, and where to go on.
    pub fn list(
        &self,
        start: u64,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<(Vec<Point>, Option<u64>), Failure> {
        let (points, next) =
            self.index.store().scroll(kinsight_index::Cursor(start), limit, filter, &kinsight_index::Cancel::new())?;
        Ok((points, next.map(|cursor| cursor.0)))
    }

    /// Labels with their numbers of images, the most frequent first.
    pub fn labels(&self) -> Result<LabelCounts, Failure> {
        if let Some(known) = &*self.known_labels() {
            return Ok(known.clone());
        }
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        let mut next = Some(0);
        while let Some(start) = next {
            let (points, cursor) = self.list(start, SCROLL, None)?;
            for label in points.iter().filter_map(|point| point.payload.get(fields::LABEL)) {
                *counts.entry(label.text()).or_default() += 1;
            }
            next = cursor;
        }
        let mut labels: Vec<(String, usize)> = counts.into_iter().collect();
        labels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let labels = Arc::new(labels);
        *self.known_labels() = Some(labels.clone());
        Ok(labels)
    }

    fn known_labels(&self) -> MutexGuard<'_, Option<LabelCounts>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `count` images of as many labels as there are.
    pub fn sample(&self, count: usize) -> Result<Vec<Point>, Failure> {
        let labels = self.labels()?;
        if labels.is_empty() {
            return Ok(self.list(0, count, None)?.0);
        }
        let each = count.div_ceil(labels.len());
        let step = (labels.len() / count).max(1);
        let mut points = Vec::new();
        for (label, _) in labels.iter().step_by(step).take(count) {
            let filter = Filter::equals(fields::LABEL, label.as_str());
            points.extend(self.list(0, each, Some(&filter))?.0);
        }
        points.truncate(count);
        Ok(points)
    }

    /// What the scores of this collection mean, where that was measured.
    pub fn thresholds(&self) -> Option<Thresholds> {
        let calibration = self.index.manifest().calibration.as_ref()?;
        Some(Thresholds { duplicate: calibration.duplicate, same: calibration.same, similar: calibration.similar })
    }

    /// The name of the range that `score` is in.
    pub fn verdict(&self, score: f32) -> Option<&'static str> {
        Some(self.index.manifest().calibration.as_ref()?.verdict(f64::from(score)).as_str())
    }

    /// Puts a picture on the disk and into the index.
    pub fn add(&self, new: NewImage<'_>) -> Result<Point, Failure> {
        let mut payload = own_fields(new.fields)?;
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // The right to write first: without it nothing is left on the disk.
        let writer = self.index.writer()?;
        let stored = uploads::keep(self.index.path(), &new.bytes)?;
        let id = self.index.upload_id(&stored.path)?;
        payload.insert(fields::ROOT.into(), Value::from(stored.root));
        payload.insert(fields::PATH.into(), Value::from(stored.path));
        payload.insert(fields::WIDTH.into(), Value::from(f64::from(new.picture.width())));
        payload.insert(fields::HEIGHT.into(), Value::from(f64::from(new.picture.height())));
        payload.insert(fields::SIZE_BYTES.into(), Value::from(new.bytes.len() as f64));
        payload.insert(fields::CONTENT_HASH.into(), Value::from(content_hash(&new.bytes)));
        payload.insert(fields::PIXEL_HASH.into(), Value::from(pixel_hash(new.picture)));
        let point = Point { id, vector: new.vector, payload };
        writer.upsert(std::slice::from_ref(&point))?;
        *self.known_labels() = None;
        Ok(point)
    }

    /// Takes an image out of the index; whether it was there. A picture that was added here leaves the disk, too.
    pub fn remove(&self, id: PointId) -> Result<bool, Failure> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = self.index.writer()?;
        let Some(point) = self.get(id)? else { return Ok(false) };
        let removed = writer.remove(&[id])? > 0;
        *self.known_labels() = None;
        if let Some(file) = file_of(&point.payload) {
            uploads::forget(self.index.path(), &file);
        }
        Ok(removed)
    }

    /// The bytes of a stored image's file, read away from the threads that answer.
    pub async fn read_file(self: &Arc<Self>, id: PointId, max_bytes: usize) -> Result<Bytes, Failure> {
        let collection = self.clone();
        let read = move || {
            let point = collection.get(id)?.ok_or_else(|| Failure::no_image(&id.to_string()))?;
            let gone = || Failure::new(StatusCode::GONE, "file_gone", "the file of this image is not there any more");
            let file = file_of(&point.payload).ok_or_else(gone)?;
            read_inside(&file.0, &file.1, max_bytes).map_err(|_| gone())
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| Failure::internal("the file could not be read"))?
    }
}

impl std::fmt::Debug for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.spec.name)
            .field("model", &self.model_name)
            .finish_non_exhaustive()
    }
}

/// The folder and the path below it that an index names.
fn file_of(payload: &Payload) -> Option<(PathBuf, PathBuf)> {
    let text = |name| payload.get(name).map(Value::text);
    Some((text(fields::ROOT)?.into(), text(fields::PATH)?.into()))
}

/// Reads `root/path`, a regular file that really lies below `root`, links followed.
fn read_inside(root: &Path, path: &Path, max_bytes: usize) -> std::io::Result<Bytes> {
    let refused = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let (root, file) = (root.canonicalize()?, root.join(path).canonicalize()?);
    let metadata = std::fs::metadata(&file)?;
    if !file.starts_with(&root) || !metadata.is_file() || metadata.len() > max_bytes as u64 {
        return Err(refused());
    }
    std::fs::read(&file).map(Bytes::from)
}

/// The client's own fields, of which `label` alone is one that the index knows.
fn own_fields(given: Vec<(String, String)>) -> Result<Payload, Failure> {
    let mut payload = Payload::new();
    for (name, text) in given {
        let plain =
            !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c));
        let reserved = fields::ALL.contains(&name.as_str()) && name != fields::LABEL;
        if !plain || reserved {
            let name: String = name.chars().take(64).collect();
            let what =
                if reserved { "set by the server" } else { "not a name of letters, digits, spaces and _ - . alone" };
            return Err(Failure::bad_request("bad_field", format!("the field {name:?} is {what}")));
        }
        if text.len() > MAX_OWN_FIELD_BYTES || text.chars().any(char::is_control) {
            let message = format!("the field {name:?} is longer than {MAX_OWN_FIELD_BYTES} bytes or no plain text");
            return Err(Failure::bad_request("bad_field", message));
        }
        let value = if name == fields::LABEL { Value::from(text) } else { Value::of_cell(&text) };
        if payload.insert(name.clone(), value).is_some() {
            return Err(Failure::bad_request("bad_field", format!("the field {name:?} is given twice")));
        }
    }
    if payload.len() > MAX_OWN_FIELDS {
        return Err(Failure::bad_request("too_many_fields", format!("more than {MAX_OWN_FIELDS} fields")));
    }
    Ok(payload)
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let hint = error.hint();
        let full = hint.as_ref().is_some_and(|hint| hint.starts_with("the disk is full"));
        match error {
            IndexError::Filter(error) => error.into(),
            _ if full => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "the disk is full; nothing was added")
            }
            IndexError::Busy { .. } => {
                Self::overloaded("another program is writing to this collection").hint("try again when it is done")
            }
            // Paths of the server's disk are the log's business.
            _ => Self::internal("the index could not be read or written").because(error.to_string()),
        }
    }
}
