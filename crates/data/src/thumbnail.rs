//! Small JPEGs of images, for reports and pages.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use crate::decode::{DecodeError, DecodeLimits, decode_file};
use crate::rgb_image::RgbImage;
use crate::transform::resized;

/// The file at `path` as a JPEG whose longer side is at most `side_px`.
///
/// # Errors
/// [`DecodeError`] if the file cannot be decoded.
pub fn thumbnail_of_file(path: &Path, side_px: u32) -> Result<Vec<u8>, DecodeError> {
    Ok(thumbnail(&decode_file(path, DecodeLimits::default())?, side_px))
}

/// `image` as a JPEG whose longer side is at most `side_px`; empty if it cannot be encoded.
pub fn thumbnail(image: &RgbImage, side_px: u32) -> Vec<u8> {
    let scale = f64::from(side_px.max(1)) / f64::from(image.width().max(image.height()));
    let size = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let small = if scale < 1.0 {
        resized(image, (size(image.width()), size(image.height())), false)
    } else {
        Some(image.clone())
    };
    small.map_or_else(Vec::new, |small| encode(small.pixels(), small.width(), small.height(), 82))
}

/// One JPEG with a tile of `tile_px` for each file, `columns` side by side: its central square, or gray if it cannot be
/// read. Empty without files.
pub fn contact_sheet(files: &[&Path], tile_px: u32, columns: usize) -> Vec<u8> {
    let (side, columns) = (tile_px.max(1) as usize, columns.max(1));
    let rows = files.len().div_ceil(columns);
    let (width, height) = (columns * side, rows * side);
    if rows == 0 || width > usize::from(u16::MAX) || height > usize::from(u16::MAX) {
        return Vec::new();
    }
    let tile = |file: &&Path| {
        let image = decode_file(file, DecodeLimits::default()).ok()?;
        resized(&image, (tile_px.max(1), tile_px.max(1)), true)
    };
    let tiles: Vec<Option<RgbImage>> = files.par_iter().map(tile).collect();
    let mut pixels = vec![128; width * height * 3];
    for (number, tile) in tiles.iter().enumerate().filter_map(|(number, tile)| Some((number, tile.as_ref()?))) {
        let (left, top) = (number % columns * side, number / columns * side);
        for (line, source) in tile.pixels().chunks_exact(side * 3).enumerate() {
            let start = ((top + line) * width + left) * 3;
            pixels[start..start + side * 3].copy_from_slice(source);
        }
    }
    encode(&pixels, width as u32, height as u32, 80)
}

fn encode(pixels: &[u8], width: u32, height: u32, quality: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, quality);
    let done = encoder.encode(pixels, width, height, image::ExtendedColorType::Rgb8).is_ok();
    if done { jpeg } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_bytes;

    #[test]
    fn keeps_the_shape_and_never_enlarges() {
        for (width, height, expected) in [(400, 200, (100, 50)), (30, 60, (30, 60)), (1000, 3, (100, 1))] {
            let image = RgbImage::new(width, height, vec![90; (width * height * 3) as usize]).unwrap();
            let back = decode_bytes(&thumbnail(&image, 100), DecodeLimits::default()).unwrap();
            assert_eq!((back.width(), back.height()), expected);
        }
    }

    #[test]
    fn a_contact_sheet_shows_the_middle_of_each_file_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<std::path::PathBuf> = (0..3_u32)
            .map(|number| {
                // Black except for a bright square in the center.
                let pixels = (0..60 * 20).flat_map(|place| {
                    let middle = (20..40).contains(&(place % 60));
                    [if middle { 60 * (number as u8 + 1) } else { 0 }; 3]
                });
                let image = RgbImage::new(60, 20, pixels.collect()).unwrap();
                let path = folder.path().join(format!("{number}.jpg"));
                std::fs::write(&path, thumbnail(&image, 60)).unwrap();
                path
            })
            .collect();
        let missing = folder.path().join("none.jpg");
        let files: Vec<&Path> = [&files[0], &files[1], &missing, &files[2]].map(|path| path.as_path()).to_vec();
        let sheet = decode_bytes(&contact_sheet(&files, 16, 3), DecodeLimits::default()).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (48, 32));
        for ((x, y), expected) in [((8, 8), 60), ((24, 8), 120), ((40, 8), 128), ((8, 24), 180), ((24, 24), 128)] {
            let found = sheet.pixel(x, y).unwrap()[0];
            assert!(found.abs_diff(expected) < 8, "({x}, {y}): {found}, expected {expected}");
        }
        assert!(contact_sheet(&[], 16, 3).is_empty());
    }
}
