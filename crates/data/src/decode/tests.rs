//! Decoding of every supported kind of file, and refusal of damaged ones.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;

const ALL_FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif];

fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeFault> {
    decode_bytes(bytes, DecodeLimits::default())
}

/// Four flat quarters: red, green / blue, white. Survives JPEG's and GIF's losses recognisably.
fn quarters(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => image::Rgb([200, 0, 0]),
        (false, true) => image::Rgb([0, 200, 0]),
        (true, false) => image::Rgb([0, 0, 200]),
        (false, false) => image::Rgb([200, 200, 200]),
    })
}

/// A picture with detail everywhere, so that damage anywhere shows.
fn texture(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 24;
        image::Rgb([noise as u8, (x * 3 + y) as u8, (noise as u8).wrapping_add(y as u8)])
    })
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG of `samples` with settings of its own.
fn jpeg(
    samples: &[u8],
    (width, height): (u16, u16),
    color: ColorType,
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 95);
    set(&mut encoder);
    encoder.encode(samples, width, height, color).unwrap();
    bytes
}

/// An EXIF block that says nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01".to_vec();
    block.extend_from_slice(&[0x01, 0x12, 0x00, 0x03, 0, 0, 0, 1, 0, orientation, 0, 0]);
    block.extend_from_slice(&[0, 0, 0, 0]);
    block
}

/// Puts an APP1 segment with that orientation after the start-of-image marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let block = exif(orientation);
    let length = (2 + 6 + block.len()) as u16;
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend_from_slice(&[0xff, 0xe1]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(b"Exif\0\0");
    bytes.extend_from_slice(&block);
    bytes.extend_from_slice(&jpeg[2..]);
    bytes
}

fn assert_close(found: Option<[u8; 3]>, expected: [u8; 3], tolerance: u8, what: &str) {
    let found = found.unwrap_or_else(|| panic!("{what}: no such pixel"));
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= tolerance);
    assert!(close, "{what}: {found:?}, expected {expected:?}");
}

/// The middle of each quarter, in reading order.
fn middles(image: &RgbImage) -> [[u8; 3]; 4] {
    let (w, h) = (image.width(), image.height());
    [(w / 4, h / 4), (w * 3 / 4, h / 4), (w / 4, h * 3 / 4), (w * 3 / 4, h * 3 / 4)]
        .map(|(x, y)| image.pixel(x, y).unwrap())
}

#[test]
fn every_format_gives_the_picture_back() {
    let original = quarters(32, 24);
    for format in ALL_FORMATS {
        let image = decode(&encode(original.clone(), format)).unwrap();
        assert_eq!((image.width(), image.height()), (32, 24), "{format:?}");
        let exact = !matches!(format, ImageFormat::Jpeg);
        for (found, expected) in middles(&image).into_iter().zip([[200, 0, 0], [0, 200, 0], [0, 0, 200], [200; 3]]) {
            assert_close(Some(found), expected, if exact { 0 } else { 6 }, &format!("{format:?}"));
        }
        if exact {
            assert_eq!(image.pixels(), original.as_raw(), "{format:?}");
        }
    }
}

#[test]
fn jpeg_of_every_make() {
    let original = quarters(45, 37);
    let size = (45, 37);
    let check = |name: &str, bytes: Vec<u8>| {
        let image = decode(&bytes).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!((image.width(), image.height()), (45, 37), "{name}");
        for (found, expected) in middles(&image).into_iter().zip([[200, 0, 0], [0, 200, 0], [0, 0, 200], [200; 3]]) {
            assert_close(Some(found), expected, 8, name);
        }
    };
    let plain =
        |set: &dyn Fn(&mut Encoder<&mut Vec<u8>>)| jpeg(&original, size, ColorType::Rgb, |encoder| set(encoder));
    check("baseline", plain(&|_| {}));
    check("progressive", plain(&|encoder| encoder.set_progressive(true)));
    check("restart markers", plain(&|encoder| encoder.set_restart_interval(2)));
    // The encoder writes the last of these in several scans, which only the slower decoder understands.
    for factor in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
        SamplingFactor::F_4_1,
        SamplingFactor::F_1_4,
        SamplingFactor::F_4_2,
        SamplingFactor::F_2_4,
    ] {
        check(&format!("{factor:?}"), plain(&|encoder| encoder.set_sampling_factor(factor)));
    }
    let inks: Vec<u8> = original.pixels().flat_map(|p| [255 - p[0], 255 - p[1], 255 - p[2], 0]).collect();
    check("CMYK", jpeg(&inks, size, ColorType::Cmyk, |_| {}));
    check(
        "CMYK in several scans",
        jpeg(&inks, size, ColorType::Cmyk, |e| e.set_sampling_factor(SamplingFactor::F_4_2)),
    );
    check("YCCK", jpeg(&inks, size, ColorType::CmykAsYcck, |_| {}));
}

/// The progressive file `jpeg` with its last scan repeated until there are `scans` more.
fn with_scans(jpeg: &[u8], scans: usize) -> Vec<u8> {
    let last = jpeg.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let (head, scan) = (&jpeg[..last], &jpeg[last..jpeg.len() - 2]);
    [head, &scan.repeat(scans + 1), &[0xff, 0xd9]].concat()
}

#[test]
fn a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() {
    let picture = texture(64, 64);
    let usual = jpeg(&picture, (64, 64), ColorType::Rgb, |encoder| encoder.set_progressive(true));
    assert!(decode(&usual).is_ok());
    // Chroma sampled more finely than luma: for the decoder that has no limit itself.
    let mut unusual = usual.clone();
    let frame = unusual.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    unusual[frame + 14] = 0x21;
    for bytes in [&usual, &unusual] {
        let bomb = with_scans(bytes, 5000);
        for found in [decode(&bomb).err(), decode_cost(&bomb, DecodeLimits::default()).err()] {
            assert!(matches!(found, Some(DecodeFault::TooManyScans { most: 100 })), "{found:?}");
        }
    }
}

#[test]
fn the_cost_is_declared_by_the_header_and_covers_the_picture() {
    let picture = texture(60, 40);
    let limits = DecodeLimits::default();
    for format in ALL_FORMATS {
        let bytes = encode(picture.clone(), format);
        let cost = decode_cost(&bytes, limits).unwrap();
        assert_eq!((cost.width, cost.height, cost.image_bytes()), (60, 40, 7200), "{format:?}");
        assert!((7200..=60 * 40 * 20).contains(&cost.peak_bytes), "{format:?}: {cost:?}");
    }
    let plain = jpeg(&picture, (60, 40), ColorType::Rgb, |_| {});
    let progressive = jpeg(&picture, (60, 40), ColorType::Rgb, |encoder| encoder.set_progressive(true));
    let peak = |bytes: &[u8]| decode_cost(bytes, limits).unwrap().peak_bytes;
    assert_eq!((peak(&plain), peak(&progressive)), (60 * 40 * 3, 60 * 40 * 9));
    assert_eq!(peak(&with_orientation(&plain, 6)), 60 * 40 * 6, "turning takes a second picture");
    let deep = DynamicImage::ImageRgba16(image::ImageBuffer::new(60, 40));
    assert_eq!(peak(&encode(deep, ImageFormat::Png)), 60 * 40 * 11);
}

#[test]
fn bytes_after_the_end_of_a_jpeg_are_ignored() {
    let mut bytes = encode(quarters(16, 16), ImageFormat::Jpeg);
    bytes.extend_from_slice(b"a second picture, a camera maker's notes");
    assert!(decode(&bytes).is_ok());
}

#[test]
fn gray_jpeg_repeats_its_channel() {
    let image = decode(&jpeg(&[90; 64], (8, 8), ColorType::Luma, |_| {})).unwrap();
    assert!(image.pixels().iter().all(|&sample| sample.abs_diff(90) <= 1));
    assert_eq!(image.pixels().len(), 8 * 8 * 3);
}

#[test]
fn samples_of_sixteen_bits_keep_their_high_byte() {
    let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_vec(2, 1, vec![0x12ff, 0xab80]).unwrap();
    let image = decode(&encode(gray, ImageFormat::Png)).unwrap();
    assert_eq!(image.pixels(), [0x12, 0x12, 0x12, 0xab, 0xab, 0xab]);
    let rgba = image::ImageBuffer::<image::Rgba<u16>, _>::from_vec(1, 1, vec![0x01ff, 0x02ff, 0x03ff, 0x0000]).unwrap();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        assert_eq!(decode(&encode(rgba.clone(), format)).unwrap().pixels(), [1, 2, 3], "{format:?}");
    }
}

#[test]
fn alpha_is_dropped_not_blended() {
    let rgba = image::RgbaImage::from_pixel(1, 1, image::Rgba([10, 20, 30, 0]));
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp] {
        assert_eq!(decode(&encode(rgba.clone(), format)).unwrap().pixels(), [10, 20, 30], "{format:?}");
    }
    let gray = image::GrayAlphaImage::from_pixel(1, 1, image::LumaA([77, 3]));
    assert_eq!(decode(&encode(gray, ImageFormat::Png)).unwrap().pixels(), [77; 3]);
}

#[test]
fn palettes_are_looked_up() {
    // 2 x 1 pixels of 4 bits each: entries 1 and 0, the first of them transparent.
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(&crc32(kind, data).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 4, 3, 0, 0, 0]);
    chunk(b"PLTE", &[9, 8, 7, 40, 50, 60]);
    chunk(b"tRNS", &[255, 0]);
    // A stored deflate block of filter byte 0 and the sample byte 0x10.
    chunk(b"IDAT", &[0x78, 0x01, 0x01, 0x02, 0x00, 0xfd, 0xff, 0x00, 0x10, 0x00, 0x12, 0x00, 0x11]);
    chunk(b"IEND", &[]);
    assert_eq!(decode(&bytes).unwrap().pixels(), [40, 50, 60, 9, 8, 7]);
}

/// PNG's checksum (ISO 3309), for hand-made chunks.
fn crc32(kind: &[u8], data: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    };
    !kind.iter().chain(data).fold(!0, step)
}

#[test]
fn exif_orientation_turns_the_picture_upright() {
    let (red, green, blue, white) = ([200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 200]);
    // How the stored quarters (red, green / blue, white) must be seen, for each EXIF value.
    let seen = [
        (1, [red, green, blue, white]),
        (2, [green, red, white, blue]),
        (3, [white, blue, green, red]),
        (4, [blue, white, red, green]),
        (5, [red, blue, green, white]),
        (6, [blue, red, white, green]),
        (7, [white, green, blue, red]),
        (8, [green, white, red, blue]),
    ];
    let plain = encode(quarters(64, 32), ImageFormat::Jpeg);
    for (orientation, expected) in seen {
        let image = decode(&with_orientation(&plain, orientation)).unwrap();
        let size = if orientation >= 5 { (32, 64) } else { (64, 32) };
        assert_eq!((image.width(), image.height()), size, "orientation {orientation}");
        for (found, expected) in middles(&image).into_iter().zip(expected) {
            assert_close(Some(found), expected, 6, &format!("orientation {orientation}"));
        }
    }
    assert_eq!(decode(&with_orientation(&plain, 77)).unwrap().width(), 64, "nonsense is ignored");
}

#[test]
fn the_content_decides_not_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("photo.JPG");
    fs::write(&path, encode(quarters(4, 4), ImageFormat::Png)).unwrap();
    assert_eq!(decode_file(&path, DecodeLimits::default()).unwrap().width(), 4);
}

#[test]
fn a_first_frame_stands_for_an_animation() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    let frame = |value| image::Frame::new(image::RgbaImage::from_pixel(3, 2, image::Rgba([value, 0, 0, 255])));
    encoder.encode_frames([frame(50), frame(150)]).unwrap();
    drop(encoder);
    assert_eq!(decode(&bytes).unwrap().pixel(0, 0), Some([50, 0, 0]));
}

#[test]
fn empty_unknown_and_missing_files_say_so() {
    assert!(matches!(decode(&[]), Err(DecodeFault::Empty)));
    assert!(matches!(decode(b"<html>not found</html>"), Err(DecodeFault::UnknownFormat)));
    let dir = tempfile::tempdir().unwrap();
    let missing = decode_file(&dir.path().join("gone.jpg"), DecodeLimits::default()).unwrap_err();
    assert!(missing.to_string().contains("gone.jpg"), "{missing}");
    let folder = decode_file(dir.path(), DecodeLimits::default()).unwrap_err();
    assert!(matches!(folder.fault, DecodeFault::NotAFile));
}

#[test]
fn a_file_that_ends_early_is_refused_in_every_format() {
    for format in ALL_FORMATS {
        let whole = encode(texture(96, 80), format);
        assert!(decode(&whole).is_ok(), "{format:?}");
        for permille in [1, 20, 100, 250, 500, 750, 900, 970] {
            let cut = whole.len() * permille / 1000;
            let result = decode(&whole[..cut]);
            assert!(result.is_err(), "{format:?} cut to {permille} permille was accepted");
        }
    }
}

#[test]
fn a_truncated_jpeg_is_never_filled_with_gray() {
    let texture = texture(96, 80);
    for progressive in [false, true] {
        for restart in [0, 3] {
            let whole = jpeg(&texture, (96, 80), ColorType::Rgb, |encoder| {
                encoder.set_progressive(progressive);
                encoder.set_restart_interval(restart);
            });
            assert!(decode(&whole).is_ok());
            for cut in 0..whole.len() {
                let result = decode(&whole[..cut]);
                assert!(
                    result.is_err(),
                    "progressive {progressive}, restart {restart}: {cut} of {} bytes",
                    whole.len()
                );
            }
        }
    }
}

#[test]
fn a_declared_size_over_the_limit_is_refused_before_decoding() {
    let side: u32 = 50_000;
    let be = side.to_be_bytes();
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    let data = [&be[..], &be, &[8, 2, 0, 0, 0]].concat();
    png.extend_from_slice(&data);
    png.extend_from_slice(&crc32(b"IHDR", &data).to_be_bytes());
    png.extend_from_slice(b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e");

    let mut jpeg = encode(quarters(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xc3, 0x50, 0xc3, 0x50]);

    let mut bmp = encode(quarters(4, 4), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&side.to_le_bytes());
    bmp[22..26].copy_from_slice(&side.to_le_bytes());

    let mut gif = encode(quarters(4, 4), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0x50, 0xc3, 0x50, 0xc3]);

    for (name, bytes) in [("PNG", png), ("JPEG", jpeg), ("BMP", bmp), ("GIF", gif)] {
        match decode(&bytes) {
            Err(DecodeFault::TooManyPixels { width: 50_000, height: 50_000, max_pixels: 100_000_000 }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_limit_is_the_users() {
    let bytes = encode(quarters(20, 10), ImageFormat::Png);
    assert!(decode_bytes(&bytes, DecodeLimits { max_pixels: 200 }).is_ok());
    let fault = decode_bytes(&bytes, DecodeLimits { max_pixels: 199 }).unwrap_err();
    assert_eq!(fault.to_string(), "the header declares 20 x 10 pixels (allowed: 199 in all)");
    assert!(fault.hint().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage gives a picture or an error: no panic reaches the caller, and none of the decoders needed the safety net.
    #[test]
    fn damaged_bytes_never_panic(
        format in prop::sample::select(ALL_FORMATS.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = encode(texture(24, 20), format);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        let result = decode_bytes(&bytes, DecodeLimits { max_pixels: 1_000_000 });
        prop_assert!(!matches!(result, Err(DecodeFault::DecoderFailed { .. })), "{result:?}");
    }
}
