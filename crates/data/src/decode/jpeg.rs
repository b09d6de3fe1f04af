//! JPEG, the format nearly every photograph comes in, decoded by `zune-jpeg` in its strict mode.
//!
//! Strict matters: the lenient mode paints what is missing of a truncated file grey and reports success.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

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
    decoder.decode_headers().map_err(fault)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| corrupt("no frame header"))?;
    let (width, height) = (
        u32::try_from(width).map_err(|_| corrupt("width out of range"))?,
        u32::try_from(height).map_err(|_| corrupt("height out of range"))?,
    );
    limits.check(width, height)?;
    let turn = decoder.exif().map_or(Orientation::NoTransforms, |exif| orientation::from_exif(exif));
    let pixels = decoder.decode().map_err(fault)?;
    orientation::upright(width, height, pixels, turn)
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
