//! Small JPEGs of pictures, for reports and pages.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use crate::decode::{DecodeError, DecodeLimits, decode_file};
use crate::rgb_image::RgbImage;

/// A JPEG of the file at `path`, its longer side at most `side_px`.
///
/// # Errors
/// [`DecodeError`] if the file cannot be decoded.
pub fn thumbnail_of_file(path: &Path, side_px: u32) -> Result<Vec<u8>, DecodeError> {
    Ok(thumbnail(&decode_file(path, DecodeLimits::default())?, side_px))
}

/// A JPEG of `picture`, its longer side at most `side_px`; empty if it could not be encoded.
pub fn thumbnail(picture: &RgbImage, side_px: u32) -> Vec<u8> {
    let (width, height) = (picture.width(), picture.height());
    let scale = (f64::from(side_px.max(1)) / f64::from(width.max(height))).min(1.0);
    let size = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let (small_width, small_height) = (size(width), size(height));
    let mut jpeg = Vec::new();
    let mut encode = |pixels: &[u8]| {
        JpegEncoder::new_with_quality(&mut jpeg, 82)
            .encode(pixels, small_width, small_height, image::ExtendedColorType::Rgb8)
            .is_ok()
    };
    let done = if scale >= 1.0 {
        encode(picture.pixels())
    } else {
        let mut small = Image::new(small_width, small_height, PixelType::U8x3);
        let filter = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        ImageRef::new(width, height, picture.pixels(), PixelType::U8x3)
            .ok()
            .and_then(|source| Resizer::new().resize(&source, &mut small, &filter).ok())
            .is_some_and(|()| encode(small.buffer()))
    };
    if done { jpeg } else { Vec::new() }
}

/// One JPEG with the middle square of each file as a tile of `tile_px`, `columns` in a row; a file that cannot be read
/// leaves its tile gray. Empty without files.
pub fn contact_sheet(files: &[&Path], tile_px: u32, columns: usize) -> Vec<u8> {
    let (side, columns) = (tile_px.max(1) as usize, columns.max(1));
    let rows = files.len().div_ceil(columns);
    let (width, height) = (columns * side, rows * side);
    if rows == 0 || width > usize::from(u16::MAX) || height > usize::from(u16::MAX) {
        return Vec::new();
    }
    let tiles: Vec<Option<Vec<u8>>> = files.par_iter().map(|file| tile_of_file(file, tile_px.max(1))).collect();
    let mut pixels = vec![128; width * height * 3];
    for (number, tile) in tiles.iter().enumerate().filter_map(|(number, tile)| Some((number, tile.as_ref()?))) {
        let (left, top) = (number % columns * side, number / columns * side);
        for (line, source) in tile.chunks_exact(side * 3).enumerate() {
            let start = ((top + line) * width + left) * 3;
            pixels[start..start + side * 3].copy_from_slice(source);
        }
    }
    let mut jpeg = Vec::new();
    let encoded = JpegEncoder::new_with_quality(&mut jpeg, 80).encode(
        &pixels,
        width as u32,
        height as u32,
        image::ExtendedColorType::Rgb8,
    );
    if encoded.is_ok() { jpeg } else { Vec::new() }
}

/// The middle square of a picture, `[side, side, 3]`.
fn tile_of_file(path: &Path, side: u32) -> Option<Vec<u8>> {
    let picture = decode_file(path, DecodeLimits::default()).ok()?;
    let mut small = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .fit_into_destination(Some((0.5, 0.5)));
    let source = ImageRef::new(picture.width(), picture.height(), picture.pixels(), PixelType::U8x3).ok()?;
    Resizer::new().resize(&source, &mut small, &options).ok()?;
    Some(small.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_bytes;

    #[test]
    fn keeps_the_shape_and_never_enlarges() {
        for (width, height, expected) in [(400, 200, (100, 50)), (30, 60, (30, 60)), (1000, 3, (100, 1))] {
            let picture = RgbImage::new(width, height, vec![90; (width * height * 3) as usize]).unwrap();
            let back = decode_bytes(&thumbnail(&picture, 100), DecodeLimits::default()).unwrap();
            assert_eq!((back.width(), back.height()), expected);
        }
    }

    #[test]
    fn a_contact_sheet_shows_the_middle_of_each_file_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<std::path::PathBuf> = (0..3_u32)
            .map(|number| {
                // Black but for a bright square in the middle.
                let pixels = (0..60 * 20).flat_map(|place| {
                    let middle = (20..40).contains(&(place % 60));
                    [if middle { 60 * (number as u8 + 1) } else { 0 }; 3]
                });
                let picture = RgbImage::new(60, 20, pixels.collect()).unwrap();
                let path = folder.path().join(format!("{number}.jpg"));
                std::fs::write(&path, thumbnail(&picture, 60)).unwrap();
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
