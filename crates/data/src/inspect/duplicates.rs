//! Files with equal bytes, and images that look the same.

use std::collections::{BTreeMap, BTreeSet};

use super::Inspection;
use super::sketch::Sketch;

/// When two images count as copies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DuplicateConfig {
    /// Images are compared if their perceptual hashes differ in at most this many of 63 bits. Default 10; up to 15 the
    /// search finds every such pair.
    pub max_hash_distance: u32,
    /// Compared images are copies if their gray versions correlate at least this much. Default 0.97: resized, recompressed
    /// and brightened copies of photographs stay above 0.98, different photographs of one object rarely reach 0.95.
    pub min_correlation: f64,
}

impl Default for DuplicateConfig {
    fn default() -> Self {
        Self { max_hash_distance: 10, min_correlation: 0.97 }
    }
}

/// Two images that look the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearPair {
    /// The earlier of the two.
    pub first: usize,
    /// The later of the two.
    pub second: usize,
    /// Correlation of their gray versions.
    pub correlation: f64,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
}

/// Groups of files with equal bytes; each group and the list are in ascending order. Empty and unreadable files are in no
/// group.
pub fn equal_files(inspections: &[Inspection]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, inspection) in inspections.iter().enumerate().filter(|(_, inspection)| inspection.bytes > 0) {
        groups.entry(inspection.hash).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    groups
}

/// Pairs of images that look the same but are not equal files, in ascending order.
///
/// Candidates are pairs with similar perceptual hashes and the caller's `further` pairs, such as neighbors among
/// embeddings, which also find mirrored copies.
pub fn near_duplicates(
    inspections: &[Inspection],
    further: impl IntoIterator<Item = (usize, usize)>,
    config: &DuplicateConfig,
) -> Vec<NearPair> {
    let mut candidates = similar_hashes(inspections, config.max_hash_distance);
    candidates.extend(further.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))));
    let sketch = |index: usize| inspections.get(index)?.image.as_ref().ok().map(|image| &image.sketch);
    let judge = |(first, second): (usize, usize)| {
        let same_file = inspections.get(first)?.hash == inspections.get(second)?.hash;
        let (correlation, mirrored) = compare(sketch(first)?, sketch(second)?, config)?;
        (!same_file).then_some(NearPair { first, second, correlation, mirrored })
    };
    candidates.into_iter().filter_map(judge).collect()
}

/// The correlation of two copies, and whether one is mirrored; `None` if they are no copies.
pub(super) fn compare(a: &Sketch, b: &Sketch, config: &DuplicateConfig) -> Option<(f64, bool)> {
    let plain = a.correlation(b);
    let mirrored = a.mirrored_correlation(b);
    let best = plain.max(mirrored);
    (best >= config.min_correlation).then_some((best, mirrored > plain))
}

/// All pairs of images whose hashes differ in at most `distance` bits, for distances up to 15.
///
/// If two hashes of eight bytes differ in at most 15 bits, some byte differs in at most one: so images are looked up by
/// each byte and its one-bit neighbors.
pub(super) fn similar_hashes(inspections: &[Inspection], distance: u32) -> BTreeSet<(usize, usize)> {
    let hashes: Vec<(usize, &Sketch)> = inspections
        .iter()
        .enumerate()
        .filter_map(|(index, inspection)| Some((index, &inspection.image.as_ref().ok()?.sketch)))
        .collect();
    let mut pairs = BTreeSet::new();
    for byte in 0..8 {
        let value = |sketch: &Sketch| (sketch.hash() >> (8 * byte)) as u8;
        let mut buckets = vec![Vec::new(); 256];
        for (place, (_, sketch)) in hashes.iter().enumerate() {
            buckets[usize::from(value(sketch))].push(place);
        }
        for (place, (index, sketch)) in hashes.iter().enumerate() {
            let own = value(sketch);
            for near in std::iter::once(own).chain((0..8).map(|bit| own ^ (1 << bit))) {
                let later = buckets[usize::from(near)].iter().filter(|other| **other > place);
                for (other, other_sketch) in later.map(|other| hashes[*other]) {
                    if sketch.hash_distance(other_sketch) <= distance {
                        pairs.insert((*index, other));
                    }
                }
            }
        }
    }
    pairs
}
