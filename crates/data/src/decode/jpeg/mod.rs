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

use self::structure::{Coding, Structure};
use super::error::DecodeFault;
use super::{DecodeCost, DecodeLimits, orientation};
use crate::rgb_image::RgbImage;

const FORMAT: &str = "JPEG";

pub(super) fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, DecodeFault> {
    match open(bytes, limits)? {
        Opened::Usual { mut decoder, width, height, turn, .. } => {
            let pixels = decoder.decode().map_err(fault)?;
            orientation::upright(width, height, pixels, turn)
        }
        Opened::Unusual { decoder, width, height, .. } => decode_unusual(*decoder, width, height),
    }
}

/// Both decoders keep all coefficients of a progressive file, two bytes each; the slower one also keeps a plane for each
/// component next to its output.
pub(super) fn cost(bytes: &[u8], limits: DecodeLimits) -> Result<DecodeCost, DecodeFault> {
    let (width, height, bytes_a_pixel) = match open(bytes, limits)? {
        Opened::Usual { width, height, turn, structure, .. } => {
            let decoding = if structure.progressive { 3 + 2 * structure.components } else { 3 };
            let turning = if turn == Orientation::NoTransforms { 3 } else { 6 };
            (width, height, decoding.max(turning))
        }
        Opened::Unusual { width, height, structure, .. } => {
            let coefficients = if structure.progressive { 2 * structure.components } else { 0 };
            (width, height, coefficients + 2 * structure.components + 3)
        }
    };
    Ok(DecodeCost { width, height, peak_bytes: u64::from(width) * u64::from(height) * bytes_a_pixel })
}

/// A file whose headers are read and whose size is within the limits, in the decoder that it is for.
enum Opened<'a> {
    Usual {
        decoder: Box<JpegDecoder<ZCursor<&'a [u8]>>>,
        width: u32,
        height: u32,
        turn: Orientation,
        structure: Structure,
    },
    Unusual {
        decoder: Box<jpeg_decoder::Decoder<&'a [u8]>>,
        width: u32,
        height: u32,
        structure: Structure,
    },
}

fn open(bytes: &[u8], limits: DecodeLimits) -> Result<Opened<'_>, DecodeFault> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    // Unusual sampling may already fail here; the markers are walked only then, and before the pixels.
    if let Err(error) = decoder.decode_headers() {
        let structure = structure::inspect(bytes)?;
        return match structure.coding {
            Coding::Unusual => open_unusual(bytes, limits, structure),
            Coding::Usual => Err(fault(error)),
        };
    }
    let (width, height) = decoder.dimensions().ok_or_else(|| corrupt("no frame header"))?;
    let (width, height) = (side(width)?, side(height)?);
    limits.check(width, height)?;
    let structure = structure::inspect(bytes)?;
    if structure.coding == Coding::Unusual {
        return open_unusual(bytes, limits, structure);
    }
    let turn = decoder.exif().map_or(Orientation::NoTransforms, |exif| orientation::from_exif(exif));
    Ok(Opened::Usual { decoder: Box::new(decoder), width, height, turn, structure })
}

fn open_unusual(bytes: &[u8], limits: DecodeLimits, structure: Structure) -> Result<Opened<'_>, DecodeFault> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(unusual_fault)?;
    let info = decoder.info().ok_or_else(|| corrupt("no frame header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    limits.check(width, height)?;
    Ok(Opened::Unusual { decoder: Box::new(decoder), width, height, structure })
}

/// The slower decoder, for the codings the fast one garbles.
fn decode_unusual(mut decoder: jpeg_decoder::Decoder<&[u8]>, width: u32, height: u32) -> Result<RgbImage, DecodeFault> {
    let samples = decoder.decode().map_err(unusual_fault)?;
    let format = decoder.info().ok_or_else(|| corrupt("no frame header"))?.pixel_format;
    let turn = decoder.exif_data().map_or(Orientation::NoTransforms, orientation::from_exif);
    let pixels = match format {
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
