//! Turning a picture as the camera's EXIF orientation asks.

use image::DynamicImage;
use image::metadata::Orientation;

use super::error::DecodeFault;
use crate::rgb_image::RgbImage;

/// The orientation in a raw EXIF block, if it has one.
pub(super) fn from_exif(exif: &[u8]) -> Orientation {
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// `pixels` (`[height, width, 3]`) turned upright.
pub(super) fn upright(
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    orientation: Orientation,
) -> Result<RgbImage, DecodeFault> {
    let found_bytes = pixels.len();
    let misshapen = || DecodeFault::Corrupt {
        format: "image",
        reason: format!("{found_bytes} bytes for {width} x {height} RGB pixels"),
    };
    if orientation == Orientation::NoTransforms {
        return RgbImage::new(width, height, pixels).map_err(|_| misshapen());
    }
    let buffer = image::RgbImage::from_raw(width, height, pixels).ok_or_else(misshapen)?;
    let mut picture = DynamicImage::ImageRgb8(buffer);
    picture.apply_orientation(orientation);
    let buffer = picture.into_rgb8();
    let (width, height) = buffer.dimensions();
    RgbImage::new(width, height, buffer.into_raw()).map_err(|_| misshapen())
}
