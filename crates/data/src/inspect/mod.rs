//! What is in the files of a data set, apart from what a model makes of it: can each be read, how large is it, and
//! which show the same picture.
//!
//! A file is read once; what remains of it is a few hundred bytes ([`Inspection`]), so that a data set of any size fits
//! into memory. Same bytes are told by hash, same pictures in other files by a [`Sketch`]: small, gray, and compared
//! without regard to brightness and contrast. It does not change or delete anything.

mod duplicates;
mod sketch;

use std::path::Path;

use rayon::prelude::*;

use crate::dataset::Item;
use crate::decode::{DecodeFault, DecodeLimits, decode_bytes, read_bounded};

pub use duplicates::{DuplicateConfig, NearPair, equal_files, is_same_picture, near_duplicates};
pub use sketch::Sketch;

/// What remains of a file that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 hash of the file.
    pub hash: [u8; 32],
    /// The picture in it, or why there is none.
    pub picture: Result<InspectedPicture, String>,
}

/// What remains of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedPicture {
    /// After the camera's orientation is applied.
    pub width_px: u32,
    /// After the camera's orientation is applied.
    pub height_px: u32,
    /// What it looks like.
    pub sketch: Sketch,
}

impl Inspection {
    /// Reads the file at `path`.
    pub fn of_file(path: &Path, limits: DecodeLimits) -> Self {
        match read_bounded(path, limits) {
            Ok(bytes) => Self::of_bytes(&bytes, limits),
            Err(fault) => Self { bytes: 0, hash: [0; 32], picture: Err(fault.to_string()) },
        }
    }

    fn of_bytes(bytes: &[u8], limits: DecodeLimits) -> Self {
        let picture = decode_bytes(bytes, limits).map_err(|fault: DecodeFault| fault.to_string());
        let picture = picture.map(|picture| InspectedPicture {
            width_px: picture.width(),
            height_px: picture.height(),
            sketch: Sketch::of(&picture),
        });
        Self { bytes: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes(), picture }
    }
}

/// Looks at every file, on all threads; `progress` hears of each that is done.
pub fn inspect(items: &[Item], limits: DecodeLimits, progress: impl Fn() + Sync) -> Vec<Inspection> {
    let look = |item: &Item| {
        let inspection = Inspection::of_file(&item.path, limits);
        progress();
        inspection
    };
    items.par_iter().map(look).collect()
}

#[cfg(test)]
mod tests;
