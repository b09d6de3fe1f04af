//! From files to what the model takes: read, hashed, decoded and transformed on all threads, a batch at a time.

use std::path::Path;
use std::time::UNIX_EPOCH;

use kinsight_data::{DecodeLimits, EvalTransform, RgbImage, Scratch, decode_bytes};
use rayon::prelude::*;

use crate::error::Result;
use crate::payload::{Payload, Value, fields};

/// A picture ready for the model.
pub(crate) struct Prepared {
    /// Pixel size, hashes, file size and time.
    pub facts: Payload,
    /// `[3, S, S]`
    pub pixels: Vec<f32>,
}

/// A file that was read but not yet decoded.
pub(crate) struct ReadFile {
    bytes: Vec<u8>,
    facts: Payload,
}

/// Size and modification time of a file, as fields.
pub(crate) fn stat(path: &Path) -> std::io::Result<Payload> {
    let metadata = std::fs::metadata(path)?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Payload::from([
        (fields::SIZE_BYTES.to_owned(), Value::from(metadata.len() as f64)),
        (fields::MODIFIED_NS.to_owned(), Value::from(modified.map_or(0, |time| time.as_nanos()).to_string())),
    ]))
}

/// Reads a file and hashes its content.
pub(crate) fn read(path: &Path) -> std::result::Result<ReadFile, String> {
    let bytes =
        kinsight_data::decode::read_bounded(path, DecodeLimits::default()).map_err(|fault| fault.to_string())?;
    let mut facts = stat(path).map_err(|error| error.to_string())?;
    // Of the bytes that were read: the file may have grown since.
    facts.insert(fields::SIZE_BYTES.to_owned(), Value::from(bytes.len() as f64));
    facts.insert(fields::CONTENT_HASH.to_owned(), Value::from(content_hash(&bytes)));
    Ok(ReadFile { bytes, facts })
}

impl ReadFile {
    /// Hash of the content.
    pub fn content_hash(&self) -> Option<&Value> {
        self.facts.get(fields::CONTENT_HASH)
    }

    /// Size, time and hash of the content.
    pub fn into_facts(self) -> Payload {
        self.facts
    }

    /// Decodes and transforms.
    pub fn prepare(self, transform: &EvalTransform) -> std::result::Result<Prepared, String> {
        let picture = decode_bytes(&self.bytes, DecodeLimits::default()).map_err(|fault| fault.to_string())?;
        let mut facts = self.facts;
        facts.extend(picture_facts(&picture));
        let pixels = transformed(&picture, transform).map_err(|error| error.to_string())?;
        Ok(Prepared { facts, pixels })
    }
}

/// Reads, decodes and transforms files on all threads; each has its own outcome.
pub(crate) fn prepare_files(files: &[&Path], transform: &EvalTransform) -> Vec<std::result::Result<Prepared, String>> {
    files.par_iter().map(|file| read(file)?.prepare(transform)).collect()
}

/// `picture` as the model takes it.
pub(crate) fn transformed(picture: &RgbImage, transform: &EvalTransform) -> Result<Vec<f32>> {
    let mut pixels = vec![0.0; transform.preprocess().output_len()];
    transform.apply(picture, &mut Scratch::new(), &mut pixels)?;
    Ok(pixels)
}

/// Hash of a file's content, as the field `content_hash` holds it.
pub fn content_hash(bytes: &[u8]) -> String {
    short_hash(&[bytes])
}

/// Hash of a picture's pixels, as the field `pixel_hash` holds it.
pub fn pixel_hash(picture: &RgbImage) -> String {
    let size = [picture.width().to_le_bytes(), picture.height().to_le_bytes()].concat();
    short_hash(&[&size, picture.pixels()])
}

fn picture_facts(picture: &RgbImage) -> Payload {
    Payload::from([
        (fields::WIDTH.to_owned(), Value::from(f64::from(picture.width()))),
        (fields::HEIGHT.to_owned(), Value::from(f64::from(picture.height()))),
        (fields::PIXEL_HASH.to_owned(), Value::from(pixel_hash(picture))),
    ])
}

/// Half of BLAKE3, which still makes a chance collision among billions of images unthinkable, in hexadecimal.
fn short_hash(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
