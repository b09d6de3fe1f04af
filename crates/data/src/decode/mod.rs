//! From the bytes of an image file to [`RgbImage`].
//!
//! Files come from users, cameras and the web, so nothing about them is trusted: the format is detected from the content
//! and not the name, the declared size is checked before any pixel memory is allocated, and a file that ends
//! early is an error even where a lenient viewer would fill the rest with gray. The camera's EXIF orientation is
//! applied. Alpha is dropped, palettes are looked up, 16-bit samples keep their high byte, gray is repeated.
//!
//! Color profiles are not applied: the pixels are taken as sRGB, as vision models are trained on them.

mod error;
mod jpeg;
mod orientation;
mod raster;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::ImageFormat;

pub use error::{DecodeError, DecodeFault};

use crate::rgb_image::RgbImage;

/// What a decoder may spend on one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Largest width times height accepted, in pixels. The default of 100 million lets through every camera of today and
    /// keeps one decoded picture under 300 MB.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_pixels: 100_000_000 }
    }
}

impl DecodeLimits {
    fn check(self, width: u32, height: u32) -> Result<(), DecodeFault> {
        if width == 0 || height == 0 {
            return Err(DecodeFault::NoPixels { width, height });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(DecodeFault::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }

    /// No honest file of an accepted picture is larger: eight bytes a pixel (16-bit RGBA, uncompressed), and room for
    /// metadata.
    fn max_file_bytes(self) -> u64 {
        self.max_pixels.saturating_mul(8).saturating_add(64 << 20)
    }
}

/// What decoding a picture will take, as its header declares it; nothing is decoded to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeCost {
    /// Declared width in pixels.
    pub width: u32,
    /// Declared height in pixels.
    pub height: u32,
    /// Upper bound of the bytes held at once while it is decoded.
    pub peak_bytes: u64,
}

impl DecodeCost {
    /// Bytes of the decoded [`RgbImage`].
    pub fn image_bytes(self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * 3
    }
}

/// Reads and decodes a picture file.
///
/// # Errors
/// [`DecodeError`], which names the path and the reason.
pub fn decode_file(path: &Path, limits: DecodeLimits) -> Result<RgbImage, DecodeError> {
    read_bounded(path, limits)
        .and_then(|bytes| decode_bytes(&bytes, limits))
        .map_err(|fault| DecodeError { path: path.to_owned(), fault })
}

/// Decodes a picture held in memory, for example an upload.
///
/// # Errors
/// [`DecodeFault`]: empty, of no known format, larger than `limits`, truncated or corrupt.
pub fn decode_bytes(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    guarded(bytes, |format| match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits),
        _ => raster::decode(bytes, format, limits),
    })
}

/// What [`decode_bytes`] would take, from the header alone: lets a server weigh a picture before it pays for it.
///
/// # Errors
/// [`DecodeFault`] where the header already shows that decoding fails.
pub fn decode_cost(bytes: &[u8], limits: DecodeLimits) -> Result<DecodeCost, DecodeFault> {
    guarded(bytes, |format| match format {
        ImageFormat::Jpeg => jpeg::cost(bytes, limits),
        _ => raster::cost(bytes, format, limits),
    })
}

/// Hands `bytes` to a decoder of their format. Decoders are other people's code reading hostile bytes; a defect in one must
/// cost an image, not the program.
fn guarded<T>(bytes: &[u8], read: impl Fn(ImageFormat) -> Result<T, DecodeFault>) -> Result<T, DecodeFault> {
    if bytes.is_empty() {
        return Err(DecodeFault::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| DecodeFault::UnknownFormat)?;
    catch_unwind(AssertUnwindSafe(|| read(format)))
        .unwrap_or(Err(DecodeFault::DecoderFailed { format: format_name(format) }))
}

/// Reads a picture file, unless it is larger than any honest file of a picture within `limits`.
///
/// # Errors
/// [`DecodeFault`]: not a file, too large, or unreadable.
pub fn read_bounded(path: &Path, limits: DecodeLimits) -> Result<Vec<u8>, DecodeFault> {
    let metadata = fs::metadata(path).map_err(DecodeFault::Read)?;
    // Opening a named pipe would wait for ever.
    if !metadata.is_file() {
        return Err(DecodeFault::NotAFile);
    }
    if metadata.len() > limits.max_file_bytes() {
        return Err(DecodeFault::FileTooLarge { found_bytes: metadata.len(), max_bytes: limits.max_file_bytes() });
    }
    fs::read(path).map_err(DecodeFault::Read)
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "image",
    }
}

#[cfg(test)]
mod tests;
