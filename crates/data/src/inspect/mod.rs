//! What the files of a dataset hold, without a model: is each readable, how large is it, which are copies of each other.
//!
//! Each file is read once and summarized in about a kilobyte ([`Inspection`]), so that any dataset fits into memory. Equal
//! files are found by their hash, copies in other sizes or formats by a [`Sketch`]: small, gray, and compared regardless of
//! brightness and contrast. Nothing is changed or deleted.

mod duplicates;
mod sketch;

use std::path::Path;

use rayon::prelude::*;

use crate::dataset::Item;
use crate::decode::{DecodeLimits, decode_bytes, read_bounded};
use crate::rgb_image::RgbImage;

pub use duplicates::{DuplicateConfig, NearPair, equal_files, near_duplicates};
pub use sketch::Sketch;

/// Summary of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 hash of the file.
    pub hash: [u8; 32],
    /// The image in it, or why it cannot be decoded.
    pub image: Result<InspectedImage, String>,
}

/// Summary of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedImage {
    /// Width after the camera's orientation is applied.
    pub width_px: u32,
    /// Height after the camera's orientation is applied.
    pub height_px: u32,
    /// Its appearance, for finding copies.
    pub sketch: Sketch,
}

impl Inspection {
    /// Reads the file at `path`.
    pub fn of_file(path: &Path, limits: DecodeLimits) -> Self {
        match read_bounded(path, limits) {
            Ok(bytes) => Self::of_bytes(&bytes, limits),
            Err(fault) => Self { bytes: 0, hash: [0; 32], image: Err(fault.to_string()) },
        }
    }

    fn of_bytes(bytes: &[u8], limits: DecodeLimits) -> Self {
        let summary = |image: RgbImage| InspectedImage {
            width_px: image.width(),
            height_px: image.height(),
            sketch: Sketch::of(&image),
        };
        let image = decode_bytes(bytes, limits).map(summary).map_err(|fault| fault.to_string());
        Self { bytes: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes(), image }
    }
}

/// Inspects every file, on all threads; `progress` is called after each.
pub fn inspect(items: &[Item], limits: DecodeLimits, progress: impl Fn() + Sync) -> Vec<Inspection> {
    let one = |item: &Item| {
        let inspection = Inspection::of_file(&item.path, limits);
        progress();
        inspection
    };
    items.par_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
