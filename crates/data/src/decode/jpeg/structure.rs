//! A walk over a JPEG file's markers (ITU-T T.81, annex B) before it is decoded.
//!
//! Some files come out of the fast decoder as wrong pictures instead of errors: those that end within the last row of
//! blocks, which it fills up, and two unusual codings, which it garbles. All show in the markers, and looking for them
//! costs a hundredth of the decoding.

use super::FORMAT;
use crate::decode::error::DecodeFault;

/// Which decoder a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// What cameras and programs write: chroma sampled at most as finely as luma, all components in one scan unless
    /// progressive.
    Usual,
    /// Anything else.
    Unusual,
}

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const TEMPORARY: u8 = 0x01;
/// Baseline and extended sequential coding.
const SEQUENTIAL_FRAMES: [u8; 2] = [0xc0, 0xc1];
/// Huffman tables, a reserved code and arithmetic tables lie among the codes of the frame headers.
const NOT_FRAMES: [u8; 3] = [0xc4, 0xc8, 0xcc];

/// What the markers say of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Structure {
    pub coding: Coding,
    /// Coded in several passes over the whole picture.
    pub progressive: bool,
    /// Color components of the frame, at most 255.
    pub components: u64,
}

/// Most scans of one file, as many as `zune-jpeg` allows. Each scan of a few bytes is a pass over all pixels, so without a
/// limit a small file costs minutes; encoders write about ten.
const MAX_SCANS: usize = 100;

/// Walks to the end-of-image marker.
///
/// # Errors
/// [`DecodeFault::Truncated`] when the file ends before it, [`DecodeFault::TooManyScans`].
pub(super) fn inspect(bytes: &[u8]) -> Result<Structure, DecodeFault> {
    let truncated = || DecodeFault::Truncated { format: FORMAT };
    let mut rest = bytes;
    let mut found = Structure { coding: Coding::Usual, progressive: false, components: 1 };
    let mut sequential_components = None;
    let mut scans = 0;
    loop {
        let (marker, after) = next_marker(rest).ok_or_else(truncated)?;
        rest = after;
        match marker {
            END_OF_IMAGE => return Ok(found),
            START_OF_IMAGE | TEMPORARY => continue,
            _ => {}
        }
        // The length counts its own two bytes.
        let [high, low, ..] = *rest else { return Err(truncated()) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = rest.get(..length).ok_or_else(truncated)?;
        if length < 2 {
            return Err(DecodeFault::Corrupt { format: FORMAT, reason: format!("a segment of {length} bytes") });
        }
        if (0xc0..=0xcf).contains(&marker) && !NOT_FRAMES.contains(&marker) {
            if !has_usual_sampling(segment) {
                found.coding = Coding::Unusual;
            }
            found.components = found.components.max(segment.get(7).copied().map_or(1, u64::from));
            found.progressive |= !SEQUENTIAL_FRAMES.contains(&marker);
            sequential_components = SEQUENTIAL_FRAMES.contains(&marker).then(|| segment.get(7).copied());
        }
        rest = &rest[length..];
        if marker == START_OF_SCAN {
            if sequential_components.is_some_and(|in_frame| in_frame != segment.get(2).copied()) {
                found.coding = Coding::Unusual;
            }
            scans += 1;
            if scans > MAX_SCANS {
                return Err(DecodeFault::TooManyScans { most: MAX_SCANS });
            }
            rest = skip_scan(rest);
        }
    }
}

/// The next marker's code and what follows it; bytes between segments are passed over.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&byte| byte == 0xff)?;
    // A marker may be preceded by any number of fill bytes.
    let code = start + bytes[start..].iter().position(|&byte| byte != 0xff)?;
    Some((bytes[code], &bytes[code + 1..]))
}

/// What follows the entropy-coded data at the start of `bytes`: inside it 0xff is followed by zero or a restart marker.
fn skip_scan(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|&byte| byte == 0xff) {
        at += found;
        match bytes.get(at + 1) {
            Some(0x00 | 0xd0..=0xd7) => at += 2,
            Some(0xff) => at += 1,
            _ => return &bytes[at..],
        }
    }
    &[]
}

/// A frame header: length (2), precision (1), height (2), width (2), number of components (1), then for each component
/// its name (1), its sampling factors (4 bits each) and its table (1).
fn has_usual_sampling(segment: &[u8]) -> bool {
    let factors = segment.get(8..).unwrap_or_default().chunks_exact(3).map(|c| (c[1] >> 4, c[1] & 0x0f));
    let largest = factors.clone().fold((0, 0), |(h, v), factor| (h.max(factor.0), v.max(factor.1)));
    let power_of_two = |factor: u8| matches!(factor, 1 | 2 | 4);
    factors.clone().next().is_none_or(|luma| luma == largest)
        && factors.clone().all(|(h, v)| power_of_two(h) && power_of_two(v))
}
