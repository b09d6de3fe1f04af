//! JPEG, the format nearly every photograph comes in.
//!
//! `zune-jpeg` decodes, in its strict mode: the lenient one paints what is missing of a truncated file gray and reports
//! success. What even the strict mode lets through, [`structure`] catches. The few unusual codings that `zune-jpeg`
//! 0.5 garbles go to `jpeg-decoder`, which is slower and handles them.

mod structure;

use image::metadata::Orientation;
use jpeg_decoder::PixelFormat;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use self::structure::Coding;
use super::error::DecodeFault;
use super::{DecodeLimits, orientation};
use crate::rgb_image::RgbImage;

const FORMAT: &str = "JPEG";

pub(super) fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    // Unusual sampling may already fail here; whether it is that is asked only then, and before the pixels.
    if let Err(error) = decoder.decode_headers() {
        return match structure::inspect(bytes)? {
            Coding::Unusual => decode_unusual(bytes, limits),
            Coding::Usual => Err(fault(error)),
        };
    }
    let (width, height) = decoder.dimensions().ok_or_else(|| corrupt("no frame header"))?;
    let (width, height) = (side(width)?, side(height)?);
    limits.check(width, height)?;
    if structure::inspect(bytes)? == Coding::Unusual {
        return decode_unusual(bytes, limits);
    }
    let turn = decoder.exif().map_or(Orientation::NoTransforms, |exif| orientation::from_exif(exif));
    let pixels = decoder.decode().map_err(fault)?;
    orientation::upright(width, height, pixels, turn)
}

/// The slower decoder, for the codings the fast one garbles.
fn decode_unusual(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(unusual_fault)?;
    let info = decoder.info().ok_or_else(|| corrupt("no frame header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    limits.check(width, height)?;
    let samples = decoder.decode().map_err(unusual_fault)?;
    let turn = decoder.exif_data().map_or(Orientation::NoTransforms, orientation::from_exif);
    let pixels = match info.pixel_format {
        PixelFormat::RGB24 => samples,
        PixelFormat::L8 => samples.iter().flat_map(|&gray| [gray; 3]).collect(),
        PixelFormat::CMYK32 => {
            samples.chunks_exact(4).flat_map(|ink| rgb_of_cmyk([ink[0], ink[1], ink[2], ink[3]])).collect()
        }
        PixelFormat::L16 => return Err(DecodeFault::Unsupported { what: "JPEG of 16 bits".to_owned() }),
    };
    orientation::upright(width, height, pixels, turn)
}

/// Each color is what its ink and black leave of white.
fn rgb_of_cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| (u16::from(255 - ink) * u16::from(255 - black) / 255) as u8)
}

fn side(length: usize) -> Result<u32, DecodeFault> {
    u32::try_from(length).map_err(|_| corrupt("a side out of range"))
}

fn corrupt(reason: &str) -> DecodeFault {
    DecodeFault::Corrupt { format: FORMAT, reason: reason.to_owned() }
}

fn fault(error: DecodeErrors) -> DecodeFault {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => DecodeFault::Truncated { format: FORMAT },
        DecodeErrors::FormatStatic("Premature end of buffer") => DecodeFault::Truncated { format: FORMAT },
        DecodeErrors::Unsupported(kind) => DecodeFault::Unsupported { what: format!("this kind of JPEG ({kind:?})") },
        DecodeErrors::Format(reason) => corrupt(&reason),
        DecodeErrors::FormatStatic(reason) => corrupt(reason),
        other => corrupt(format!("{other:?}").trim_end()),
    }
}

fn unusual_fault(error: jpeg_decoder::Error) -> DecodeFault {
    match error {
        jpeg_decoder::Error::Unsupported(kind) => {
            DecodeFault::Unsupported { what: format!("this kind of JPEG ({kind:?})") }
        }
        jpeg_decoder::Error::Io(_) => DecodeFault::Truncated { format: FORMAT },
        other => corrupt(&other.to_string()),
    }
}
