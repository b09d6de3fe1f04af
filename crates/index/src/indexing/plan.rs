//! What there is to do: a listing compared with what is indexed.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::listing::{ListedImage, Listing};
use super::prepare::stat;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::payload::{Payload, Value, fields};
use crate::point::PointId;
use crate::store::{Cursor, VectorStore};

/// The images to look at, in the order of the listing.
pub(super) struct Plan<'a> {
    pub tasks: Vec<Task<'a>>,
    /// Images that are as they were.
    pub unchanged: usize,
    /// Points of images that the root no longer has.
    pub gone: Vec<PointId>,
    /// An indexed image for each content.
    contents: BTreeMap<String, PointId>,
}

/// One image to look at.
pub(super) struct Task<'a> {
    pub image: &'a ListedImage,
    pub id: PointId,
    /// Whether it is in the index.
    pub known: bool,
    /// Whether the file has the size and time it was indexed with, so that only label or columns changed.
    pub same_file: bool,
}

impl<'a> Plan<'a> {
    /// `ids` are those of the listing's items.
    pub fn new(store: &dyn VectorStore, listing: &'a Listing, ids: &[PointId]) -> Result<Self> {
        let root = listing.root.to_string_lossy();
        let (mut indexed, mut contents) = (HashMap::new(), BTreeMap::new());
        let mut cursor = Some(Cursor::default());
        while let Some(start) = cursor {
            let (points, next) = store.scroll(start, 1024, None, &Cancel::new())?;
            for point in points {
                if let Some(hash) = point.payload.get(fields::CONTENT_HASH) {
                    contents.entry(hash.text()).or_insert(point.id);
                }
                if point.payload.get(fields::ROOT).is_some_and(|value| value.text() == root) {
                    indexed.insert(point.id, digest(&point.payload));
                }
            }
            cursor = next;
        }
        let listed: HashSet<PointId> = ids.iter().copied().collect();
        let mut gone: Vec<PointId> = if listing.complete {
            indexed.keys().copied().filter(|id| !listed.contains(id)).collect()
        } else {
            Vec::new()
        };
        gone.sort_unstable();
        let mut plan = Self { tasks: Vec::new(), unchanged: 0, gone, contents };
        for (image, &id) in listing.items.iter().zip(ids) {
            let known = indexed.get(&id);
            // A file that cannot be looked at is read, and the reading tells why.
            let file = stat(&image.file).unwrap_or_default();
            let same_file = known.is_some_and(|known| known.file == file_digest(&file));
            if same_file && known.is_some_and(|known| known.known == known_digest(&image.known)) {
                plan.unchanged += 1;
            } else {
                plan.tasks.push(Task { image, id, known: known.is_some(), same_file });
            }
        }
        Ok(plan)
    }

    /// An indexed image with this content.
    pub fn with_content(&self, hash: &Value) -> Option<PointId> {
        self.contents.get(&hash.text()).copied()
    }
}

/// What a million images are compared by, in 16 bytes each.
struct Digest {
    file: u64,
    known: u64,
}

fn digest(payload: &Payload) -> Digest {
    Digest { file: file_digest(payload), known: known_digest(payload) }
}

fn file_digest(payload: &Payload) -> u64 {
    short([fields::SIZE_BYTES, fields::MODIFIED_NS].into_iter().filter_map(|name| Some((name, payload.get(name)?))))
}

/// Of what a listing knows: everything that does not come from the file itself.
fn known_digest(payload: &Payload) -> u64 {
    let of_file = |name: &str| OF_FILE.contains(&name);
    short(payload.iter().map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| !of_file(name)))
}

/// Fields that are read from the file.
const OF_FILE: [&str; 6] =
    [fields::WIDTH, fields::HEIGHT, fields::SIZE_BYTES, fields::CONTENT_HASH, fields::PIXEL_HASH, fields::MODIFIED_NS];

fn short<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in entries {
        let (kind, text) = (u8::from(value.number().is_some()), value.text());
        for part in [name.as_bytes(), &[kind], text.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// The payload of an image: what the listing knows, what was read from the file, and for what was not, what `old` says.
pub(super) fn merged(known: &Payload, facts: &Payload, old: &Payload) -> Payload {
    let mut payload = known.clone();
    for name in OF_FILE {
        payload.extend(facts.get(name).or_else(|| old.get(name)).map(|value| (name.to_owned(), value.clone())));
    }
    payload
}
