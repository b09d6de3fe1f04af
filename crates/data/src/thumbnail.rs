//! Small JPEGs of pictures, for reports and pages.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;

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
}
