//! Thumbnails, made when first asked for and kept while there is room.
//!
//! The key holds everything that decides what a thumbnail shows, so that none has to be forgotten: of an image that was
//! indexed again, or of another collection of the same name, the key is another one. Whether an image still exists is asked
//! of the index each time.

use bytes::Bytes;
use kinsight_data::thumbnail::thumbnail;
use kinsight_index::{PointId, payload::fields};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Collection, Service, ServiceError, Source, Work};
use std::sync::Arc;

/// Sides of the thumbnails that are made; a request gets the next larger one, so that few are kept.
const SIDES_PX: [u32; 3] = [160, 320, 640];

/// A cache bounded by the bytes of its thumbnails.
#[derive(Debug)]
pub(crate) struct Thumbnails(Cache<Key, Bytes, ByBytes>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// Unlike its name, never used again.
    collection: u64,
    id: PointId,
    /// Hash of the file as it was indexed; the store's revision for images indexed without one.
    content: String,
    side_px: u32,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Bytes> for ByBytes {
    fn weight(&self, _: &Key, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl Thumbnails {
    pub fn new(max_bytes: usize) -> Self {
        Self(Cache::with_weighter(max_bytes / 8192, max_bytes as u64, ByBytes))
    }
}

impl Service {
    /// A JPEG of an image, its longer side about `wanted_px`.
    ///
    /// # Errors
    /// [`ServiceError::NoImage`], [`ServiceError::FileGone`], or an image that cannot be decoded any more.
    pub async fn thumbnail(
        &self,
        work: Work,
        collection: Arc<Collection>,
        id: PointId,
        wanted_px: Option<u32>,
    ) -> Result<Bytes, ServiceError> {
        let wanted_px = wanted_px.unwrap_or(SIDES_PX[1]);
        let side_px = SIDES_PX.into_iter().find(|side| *side >= wanted_px).unwrap_or(SIDES_PX[2]);
        let asked = collection.clone();
        let (point, revision) = work.run(move |_| Ok((asked.require(id)?, asked.revision()?))).await?;
        let content = point.payload.get(fields::CONTENT_HASH).map_or_else(|| revision.to_string(), |hash| hash.text());
        let key = Key { collection: collection.number(), id, content, side_px };
        if let Some(known) = self.thumbnails.0.get(&key) {
            return Ok(known);
        }
        let held = self.uploads.hold(0)?;
        let (bytes, _held) = self.read_file(&work, &collection, id, held).await?;
        let sources = vec![Source { bytes, crop: None }];
        let made = self.decoder.decode(&work, sources, move |images| Ok(Bytes::from(thumbnail(&images[0], side_px))));
        let made = made.await?;
        if made.is_empty() {
            return Err(ServiceError::internal("the thumbnail could not be encoded", id));
        }
        self.thumbnails.0.insert(key, made.clone());
        Ok(made)
    }
}
