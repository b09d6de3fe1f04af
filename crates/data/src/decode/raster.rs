//! PNG, WebP, BMP, TIFF and GIF, decoded by the `image` crate and brought to 8-bit RGB here.
//!
//! The conversion is written out because `image`'s own rounds 16-bit samples; dropping the low byte is what the
//! reference preprocessing does.

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::{ColorType, ImageDecoder, ImageFormat, Limits};

use super::error::DecodeFault;
use super::{DecodeLimits, format_name, orientation};
use crate::rgb_image::RgbImage;

pub(super) fn decode(bytes: &[u8], format: ImageFormat, limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    let input = Cursor::new(bytes);
    let fault = |error| fault(error, format);
    match format {
        ImageFormat::Png => read(PngDecoder::new(input).map_err(fault)?, format, limits),
        ImageFormat::WebP => read(WebPDecoder::new(input).map_err(fault)?, format, limits),
        ImageFormat::Bmp => read(BmpDecoder::new(input).map_err(fault)?, format, limits),
        ImageFormat::Tiff => read(TiffDecoder::new(input).map_err(fault)?, format, limits),
        // The decoder reads the first frame of an animation.
        ImageFormat::Gif => read(GifDecoder::new(input).map_err(fault)?, format, limits),
        other => Err(DecodeFault::Unsupported { what: format!("the format {other:?}") }),
    }
}

fn read(mut decoder: impl ImageDecoder, format: ImageFormat, limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(limits.max_file_bytes());
    decoder.set_limits(memory).map_err(|error| fault(error, format))?;
    let turn = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let color = decoder.color_type();
    let total_bytes = usize::try_from(decoder.total_bytes()).map_err(|_| DecodeFault::TooManyPixels {
        width,
        height,
        max_pixels: limits.max_pixels,
    })?;
    let mut samples = vec![0; total_bytes];
    decoder.read_image(&mut samples).map_err(|error| fault(error, format))?;
    orientation::upright(width, height, to_rgb8(samples, color)?, turn)
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
