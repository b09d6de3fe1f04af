//! Copies of drawn butterflies are found, other butterflies are not.

use std::path::PathBuf;

use jpeg_encoder::{ColorType, Encoder};
use proptest::prelude::*;

use super::*;
use crate::RgbImage;
use crate::thumbnail::thumbnail;

fn butterfly(class: u32, image: u32) -> RgbImage {
    // kinsight-synthetic links this crate without cfg(test), so its `RgbImage` is a different type to the compiler.
    let drawn = kinsight_synthetic::render(class, image, 3, 128).unwrap();
    RgbImage::new(drawn.width(), drawn.height(), drawn.pixels().to_vec()).unwrap()
}

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (image.width() as u16, image.height() as u16);
    Encoder::new(&mut bytes, quality).encode(image.pixels(), width, height, ColorType::Rgb).unwrap();
    bytes
}

fn mapped(image: &RgbImage, map: impl Fn(u8) -> u8) -> RgbImage {
    let pixels = image.pixels().iter().map(|value| map(*value)).collect();
    RgbImage::new(image.width(), image.height(), pixels).unwrap()
}

fn mirrored(image: &RgbImage) -> RgbImage {
    let width = image.width() as usize * 3;
    let rows = image.pixels().chunks_exact(width);
    let pixels = rows.flat_map(|row| row.chunks_exact(3).rev().flatten().copied()).collect();
    RgbImage::new(image.width(), image.height(), pixels).unwrap()
}

fn look(bytes: &[u8]) -> Inspection {
    Inspection::of_bytes(bytes, DecodeLimits::default())
}

#[test]
fn copies_are_found_and_other_images_are_not() {
    let originals: Vec<RgbImage> = (0..6).flat_map(|class| (0..3).map(move |image| butterfly(class, image))).collect();
    let mut inspections: Vec<Inspection> = originals.iter().map(|image| look(&jpeg(image, 90))).collect();
    let count = originals.len();
    for (i, image) in originals.iter().enumerate() {
        inspections.push(match i % 4 {
            0 => look(&thumbnail(image, 70)),
            1 => look(&jpeg(image, 35)),
            2 => look(&jpeg(&mapped(image, |value| value.saturating_add(25)), 90)),
            _ => look(&jpeg(&mapped(image, |value| (f32::from(value) * 0.7) as u8), 90)),
        });
    }
    let found = near_duplicates(&inspections, [], &DuplicateConfig::default());
    let pairs: Vec<(usize, usize)> = found.iter().map(|pair| (pair.first, pair.second)).collect();
    assert_eq!(pairs, (0..count).map(|i| (i, i + count)).collect::<Vec<_>>());
    assert!(found.iter().all(|pair| !pair.mirrored && pair.correlation > 0.97));
}

#[test]
fn a_mirrored_copy_is_recognized_when_compared() {
    let image = butterfly(4, 1);
    let inspections = [look(&jpeg(&image, 90)), look(&jpeg(&mirrored(&image), 80))];
    let found = near_duplicates(&inspections, [(1, 0)], &DuplicateConfig::default());
    assert_eq!(found.len(), 1);
    assert!(found[0].mirrored && found[0].first == 0 && found[0].second == 1);
}

#[test]
fn equal_bytes_are_grouped_and_not_called_near() {
    let (a, b) = (jpeg(&butterfly(1, 0), 90), jpeg(&butterfly(2, 0), 90));
    let inspections: Vec<Inspection> = [&a, &b, &a, &b, &a].iter().map(|bytes| look(bytes)).collect();
    assert_eq!(equal_files(&inspections), [vec![0, 2, 4], vec![1, 3]]);
    assert!(near_duplicates(&inspections, [], &DuplicateConfig::default()).is_empty());
}

#[test]
fn unreadable_files_state_why_and_equal_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Item { path, label: 0, crop: None }
    };
    let whole = jpeg(&butterfly(1, 0), 90);
    let items = [
        write("whole.jpg", &whole),
        write("empty.jpg", b""),
        write("cut.jpg", &whole[..whole.len() / 2]),
        Item { path: PathBuf::from("nowhere.jpg"), label: 0, crop: None },
    ];
    let inspections = inspect(&items, DecodeLimits::default(), || {});
    let reasons: Vec<Option<&str>> =
        inspections.iter().map(|inspection| inspection.image.as_ref().err().map(String::as_str)).collect();
    assert_eq!(reasons[0], None);
    assert_eq!(reasons[1], Some("the file is empty (0 bytes)"));
    assert!(reasons[2].is_some_and(|reason| reason.contains("ends before")), "{:?}", reasons[2]);
    assert!(reasons[3].is_some());
    assert!(equal_files(&inspections).is_empty());
    let size = inspections[0].image.as_ref().map(|image| (image.width_px, image.height_px));
    assert_eq!(size, Ok((128, 128)));
}

#[test]
fn a_uniform_image_equals_only_uniform_images() {
    let plain = |value| Sketch::of(&RgbImage::new(9, 5, vec![value; 135]).unwrap());
    let config = DuplicateConfig::default();
    assert!(super::duplicates::compare(&plain(9), &plain(200), &config).is_some());
    assert!(super::duplicates::compare(&plain(9), &Sketch::of(&butterfly(0, 0)), &config).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lookup_by_bytes_misses_no_pair(hashes in proptest::collection::vec(any::<u64>(), 2..20), flips in proptest::collection::vec(0..64u32, 0..15)) {
        let mut hashes = hashes;
        let copy = flips.iter().fold(hashes[0], |hash, bit| hash ^ (1 << bit));
        hashes.push(copy);
        let inspections: Vec<Inspection> = hashes
            .iter()
            .map(|hash| Inspection {
                bytes: 1,
                hash: [0; 32],
                image: Ok(InspectedImage { width_px: 1, height_px: 1, sketch: Sketch::of_hash(*hash) }),
            })
            .collect();
        let found = super::duplicates::similar_hashes(&inspections, 15);
        for i in 0..hashes.len() {
            for j in i + 1..hashes.len() {
                prop_assert_eq!(found.contains(&(i, j)), (hashes[i] ^ hashes[j]).count_ones() <= 15);
            }
        }
    }
}
