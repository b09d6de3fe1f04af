//! A collection: an index, the model it was made with, and the images that were added through the server.
//!
//! Images indexed from a folder stay where they are. Those added here are kept in the index's own folder, under a name
//! that is the hash of their content: written, synced and renamed before the index learns of them, so that an answer 201
//! means both are on the disk, and a crash in between leaves at most a file that nothing refers to.

mod open;
mod uploads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kinsight_index::payload::fields;
use kinsight_index::{
    Cancel, Cursor, Filter, Fingerprint, Index, Payload, Point, PointId, Value, VectorQuery, content_hash,
};
use serde::Serialize;
use utoipa::ToSchema;

pub use open::CollectionSpec;
pub(crate) use open::{Opener, is_plain_name, open_all};

use super::inference::HostedModel;
use super::search::Found;
use super::{Held, Service, ServiceError, Work};

/// An open collection. A request keeps the one it began with, even if another takes its place meanwhile.
pub(crate) struct Collection {
    spec: CollectionSpec,
    index: Index,
    model: Arc<HostedModel>,
    model_name: String,
    number: u64,
    /// The index lets one writer in; requests of this server wait for each other here.
    writing: Mutex<()>,
    /// Labels and the store's revision they were counted at. Locked while they are counted, so that it is done once.
    labels: Mutex<Option<(u64, LabelCounts)>>,
}

/// Labels with their numbers of images, the most frequent first.
pub(crate) type LabelCounts = Arc<Vec<(String, u64)>>;

/// An image to add.
pub(crate) struct NewImage {
    pub bytes: Bytes,
    pub width: u32,
    pub height: u32,
    pub pixel_hash: String,
    pub vector: Vec<f32>,
    /// Named by the client.
    pub fields: Payload,
}

/// Scores from which a result counts as more than a neighbor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Thresholds {
    pub duplicate: f64,
    pub same: f64,
    pub similar: f64,
}

impl Collection {
    /// An open index and its model, as a collection.
    pub fn new(spec: CollectionSpec, index: Index, model: Arc<HostedModel>, model_name: String) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { spec, index, model, model_name, number, writing: Mutex::default(), labels: Mutex::default() }
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// No other collection of this process has this number, whatever its name.
    pub fn number(&self) -> u64 {
        self.number
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

    pub fn len(&self) -> Result<usize, ServiceError> {
        Ok(self.index.store().len()?)
    }

    /// Changes with every write, by any process.
    pub fn revision(&self) -> Result<u64, ServiceError> {
        Ok(self.index.store().revision()?)
    }

    /// The `k` nearest of a unit vector.
    pub fn search(
        &self,
        vector: Vec<f32>,
        k: usize,
        filter: Option<Filter>,
        cancel: &Cancel,
    ) -> Result<Vec<Found>, ServiceError> {
        let query = VectorQuery { filter, cancel: cancel.clone(), ..VectorQuery::new(vector, k) };
        let hits = self.index.store().search(&query)?.pop().unwrap_or_default();
        Ok(hits.into_iter().map(|hit| Found { id: hit.id, score: hit.score, payload: hit.payload }).collect())
    }

    pub fn get(&self, id: PointId) -> Result<Option<Point>, ServiceError> {
        Ok(self.index.store().get(&[id])?.pop().flatten())
    }

    /// The image `id`.
    ///
    /// # Errors
    /// [`ServiceError::NoImage`]
    pub fn require(&self, id: PointId) -> Result<Point, ServiceError> {
        self.get(id)?.ok_or_else(|| ServiceError::no_image(&id.to_string()))
    }

    /// Up to `limit` images in the store's own order, and where to go on.
    pub fn list(
        &self,
        start: u64,
        limit: usize,
        filter: Option<&Filter>,
        cancel: &Cancel,
    ) -> Result<(Vec<Point>, Option<u64>), ServiceError> {
        let (points, next) = self.index.store().scroll(Cursor(start), limit, filter, cancel)?;
        Ok((points, next.map(|cursor| cursor.0)))
    }

    /// Labels with their numbers of images, counted again when anything was written, by this process or another.
    pub fn labels(&self) -> Result<LabelCounts, ServiceError> {
        let mut known = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.revision()?;
        if let Some((counted_at, labels)) = &*known
            && *counted_at == revision
        {
            return Ok(labels.clone());
        }
        let mut counts = BTreeMap::<String, u64>::new();
        for (label, count) in self.index.store().facets(fields::LABEL, usize::MAX)? {
            *counts.entry(label.text()).or_default() += count;
        }
        let mut labels: Vec<(String, u64)> = counts.into_iter().collect();
        labels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let labels = Arc::new(labels);
        *known = Some((revision, labels.clone()));
        Ok(labels)
    }

    /// Up to `count` images, of as many different labels as possible.
    pub fn sample(&self, count: usize, cancel: &Cancel) -> Result<Vec<Point>, ServiceError> {
        let labels = self.labels()?;
        if labels.is_empty() {
            return Ok(self.list(0, count, None, cancel)?.0);
        }
        let each = count.div_ceil(labels.len());
        let step = (labels.len() / count).max(1);
        let mut points = Vec::new();
        for (label, _) in labels.iter().step_by(step).take(count) {
            let filter = Filter::equals(fields::LABEL, label.as_str());
            points.extend(self.list(0, each, Some(&filter), cancel)?.0);
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

    /// Puts an image on the disk and into the index.
    pub fn add(&self, new: NewImage) -> Result<Point, ServiceError> {
        let mut payload = new.fields;
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // The right to write first: without it nothing is left on the disk.
        let writer = self.index.writer()?;
        let stored = uploads::keep(self.index.path(), &new.bytes)?;
        let id = self.index.upload_id(&stored.path)?;
        payload.insert(fields::ROOT.into(), Value::from(stored.root));
        payload.insert(fields::PATH.into(), Value::from(stored.path));
        payload.insert(fields::WIDTH.into(), Value::from(f64::from(new.width)));
        payload.insert(fields::HEIGHT.into(), Value::from(f64::from(new.height)));
        payload.insert(fields::SIZE_BYTES.into(), Value::from(new.bytes.len() as f64));
        payload.insert(fields::CONTENT_HASH.into(), Value::from(content_hash(&new.bytes)));
        payload.insert(fields::PIXEL_HASH.into(), Value::from(new.pixel_hash));
        let point = Point { id, vector: new.vector, payload };
        writer.upsert(std::slice::from_ref(&point))?;
        Ok(point)
    }

    /// Takes an image out of the index. One that was added here leaves the disk, too.
    ///
    /// # Errors
    /// [`ServiceError::NoImage`], or a failure to write.
    pub fn remove(&self, id: PointId) -> Result<(), ServiceError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = self.index.writer()?;
        let point = self.require(id)?;
        writer.remove(&[id])?;
        if let Some(file) = file_of(&point.payload) {
            uploads::forget(self.index.path(), &file);
        }
        Ok(())
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

impl Service {
    /// The bytes of a stored image's file, which count as an upload does.
    ///
    /// # Errors
    /// [`ServiceError::NoImage`], [`ServiceError::FileGone`], or no room.
    pub(super) async fn read_file(
        &self,
        work: &Work,
        collection: &Arc<Collection>,
        id: PointId,
        mut held: Held,
    ) -> Result<(Bytes, Held), ServiceError> {
        let (collection, max_bytes) = (collection.clone(), self.max_file_bytes());
        work.run(move |_| {
            let point = collection.require(id)?;
            let (root, path) = file_of(&point.payload).ok_or(ServiceError::FileGone)?;
            let bytes = read_inside(&root, &path, max_bytes, &mut held)?;
            Ok((bytes, held))
        })
        .await
    }
}

/// The folder and the path below it that an index names.
fn file_of(payload: &Payload) -> Option<(PathBuf, PathBuf)> {
    let text = |name| payload.get(name).map(Value::text);
    Some((text(fields::ROOT)?.into(), text(fields::PATH)?.into()))
}

/// Reads `root/path`, a regular file that really lies below `root`, links followed.
fn read_inside(root: &Path, path: &Path, max_bytes: usize, held: &mut Held) -> Result<Bytes, ServiceError> {
    let gone = |_| ServiceError::FileGone;
    let (root, file) = (root.canonicalize().map_err(gone)?, root.join(path).canonicalize().map_err(gone)?);
    let metadata = std::fs::metadata(&file).map_err(gone)?;
    if !file.starts_with(&root) || !metadata.is_file() || metadata.len() > max_bytes as u64 {
        return Err(ServiceError::FileGone);
    }
    held.add(metadata.len() as usize)?;
    std::fs::read(&file).map(Bytes::from).map_err(gone)
}
