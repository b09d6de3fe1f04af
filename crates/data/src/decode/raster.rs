//! PNG, WebP, BMP, TIFF and GIF, decoded by the `image` crate and brought to 8-bit RGB here.
//!
//! The conversion is written out because `image`'s own rounds 16-bit samples; dropping the low byte is what the
//! reference preprocessing does.

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, Limits};

use super::error::DecodeFault;
use super::{DecodeCost, DecodeLimits, format_name, orientation};
use crate::rgb_image::RgbImage;

pub(super) fn decode(bytes: &[u8], format: ImageFormat, limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    let fault = |error| fault(error, format);
    let mut decoder = open(bytes, format, limits)?;
    let (width, height) = decoder.dimensions();
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(limits.max_file_bytes());
    decoder.set_limits(memory).map_err(fault)?;
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let total_bytes = usize::try_from(decoder.total_bytes()).map_err(|_| DecodeFault::TooManyPixels {
        width,
        height,
        max_pixels: limits.max_pixels,
    })?;
    let mut samples = vec![0; total_bytes];
    decoder.read_image(&mut samples).map_err(fault)?;
    orientation::upright(width, height, to_rgb8(samples, color)?, turn)
}

pub(super) fn cost(bytes: &[u8], format: ImageFormat, limits: DecodeLimits) -> Result<DecodeCost, DecodeFault> {
    let mut decoder = open(bytes, format, limits)?;
    let (width, height) = decoder.dimensions();
    let rgb = u64::from(width) * u64::from(height) * 3;
    let samples = decoder.total_bytes();
    // What the decoders keep next to their output: planes and a canvas (WebP), a frame (GIF), the samples once more (TIFF).
    let own = match format {
        ImageFormat::WebP => rgb / 3 * 8,
        ImageFormat::Gif => rgb / 3 * 4,
        ImageFormat::Tiff => samples,
        _ => 0,
    };
    let converted = if decoder.color_type() == ColorType::Rgb8 { 0 } else { rgb };
    let turned = if decoder.orientation().is_ok_and(|turn| turn != Orientation::NoTransforms) { 2 * rgb } else { 0 };
    Ok(DecodeCost { width, height, peak_bytes: (samples + own.max(converted)).max(turned) })
}

/// A decoder that has read its header, for an image within the limits.
fn open<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
    limits: DecodeLimits,
) -> Result<Box<dyn ImageDecoder + 'a>, DecodeFault> {
    let input = Cursor::new(bytes);
    let decoder: Result<Box<dyn ImageDecoder + 'a>, ImageError> = match format {
        ImageFormat::Png => PngDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        ImageFormat::WebP => WebPDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        ImageFormat::Bmp => BmpDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        ImageFormat::Tiff => TiffDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        // The decoder reads the first frame of an animation.
        ImageFormat::Gif => GifDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        other => return Err(DecodeFault::Unsupported { what: format!("the format {other:?}") }),
    };
    let decoder = decoder.map_err(|error| fault(error, format))?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    Ok(decoder)
}

/// Native-endian samples of `color` as 8-bit RGB.
fn to_rgb8(samples: Vec<u8>, color: ColorType) -> Result<Vec<u8>, DecodeFault> {
    let high = |bytes: &[u8]| (u16::from_ne_bytes([bytes[0], bytes[1]]) >> 8) as u8;
    let from_unit = |bytes: &[u8]| {
        let value = f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    Ok(match color {
        ColorType::Rgb8 => samples,
        ColorType::Rgba8 => samples.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::L8 => samples.iter().flat_map(|&gray| [gray; 3]).collect(),
        ColorType::La8 => samples.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::L16 => samples.chunks_exact(2).flat_map(|p| [high(p); 3]).collect(),
        ColorType::La16 => samples.chunks_exact(4).flat_map(|p| [high(p); 3]).collect(),
        ColorType::Rgb16 => samples.chunks_exact(2).map(high).collect(),
        ColorType::Rgba16 => samples.chunks_exact(8).flat_map(|p| [high(p), high(&p[2..]), high(&p[4..])]).collect(),
        ColorType::Rgb32F => samples.chunks_exact(4).map(from_unit).collect(),
        ColorType::Rgba32F => {
            samples.chunks_exact(16).flat_map(|p| [from_unit(p), from_unit(&p[4..]), from_unit(&p[8..])]).collect()
        }
        other => return Err(DecodeFault::Unsupported { what: format!("the color type {other:?}") }),
    })
}

fn fault(error: ImageError, format: ImageFormat) -> DecodeFault {
    let name = format_name(format);
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeFault::Truncated { format: name }
        }
        ImageError::Unsupported(error) => DecodeFault::Unsupported { what: error.to_string() },
        other => DecodeFault::Corrupt { format: name, reason: other.to_string() },
    }
}
