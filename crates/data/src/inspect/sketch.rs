//! A summary of an image that survives resizing, recompression and a change of brightness or contrast.

use crate::rgb_image::RgbImage;
use crate::transform::resized;

/// Side of the small gray version, in pixels.
const SIDE: usize = 32;
/// Frequencies per direction in the hash.
const FREQUENCIES: usize = 8;

/// A perceptual hash, to find images that may be copies, and a small gray version, to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    hash: u64,
    gray: Box<[u8]>,
}

impl Sketch {
    /// The sketch of an image of any shape: both sides are resized to 32 pixels.
    pub fn of(image: &RgbImage) -> Self {
        let gray = small_gray(image);
        Self { hash: hash(&gray), gray: gray.into() }
    }

    /// How many of the hashes' 63 bits differ: about 0 for copies, about 31 for unrelated images.
    ///
    /// pHash (Zauner 2010): one bit for each of the lowest 8 x 8 frequencies of the gray version except the mean, set if
    /// its cosine coefficient is above the median.
    pub(super) fn hash_distance(&self, other: &Self) -> u32 {
        (self.hash ^ other.hash).count_ones()
    }

    /// A sketch with a hash only, to test the lookup.
    #[cfg(test)]
    pub(super) fn of_hash(hash: u64) -> Self {
        Self { hash, gray: Box::default() }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Correlation of the gray versions over their pixels, in [-1, 1], so that brightness and contrast do not matter. For
    /// a uniform image it is undefined: 1 with another uniform image, 0 with any other.
    pub(super) fn correlation(&self, other: &Self) -> f64 {
        correlate(&self.gray, other.gray.iter())
    }

    /// The same with `other` mirrored left to right.
    pub(super) fn mirrored_correlation(&self, other: &Self) -> f64 {
        correlate(&self.gray, other.gray.chunks_exact(SIDE).flat_map(|row| row.iter().rev()))
    }
}

fn correlate<'a>(a: &[u8], b: impl Iterator<Item = &'a u8> + Clone) -> f64 {
    let count = a.len() as f64;
    let mean = |sum: u64| sum as f64 / count;
    let (mean_a, mean_b) =
        (mean(a.iter().map(|v| u64::from(*v)).sum()), mean(b.clone().map(|v| u64::from(*v)).sum::<u64>()));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    match (square_a == 0.0, square_b == 0.0) {
        (true, true) => 1.0,
        (false, false) => product / (square_a * square_b).sqrt(),
        _ => 0.0,
    }
}

fn small_gray(image: &RgbImage) -> Vec<u8> {
    let gray = |rgb: &[u8]| {
        // Weights of Rec. 601, in 1/1024.
        ((306 * u32::from(rgb[0]) + 601 * u32::from(rgb[1]) + 117 * u32::from(rgb[2])) >> 10) as u8
    };
    resized(image, (SIDE as u32, SIDE as u32), false)
        .map_or_else(|| vec![0; SIDE * SIDE], |small| small.pixels().chunks_exact(3).map(gray).collect())
}

fn hash(gray: &[u8]) -> u64 {
    let coefficients = low_frequencies(gray);
    // The first coefficient is the mean.
    let mut sorted = coefficients[1..].to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    coefficients.iter().skip(1).fold(0, |bits, value| bits << 1 | u64::from(*value > median))
}

/// The lowest coefficients of the two-dimensional DCT-II, row-major.
fn low_frequencies(gray: &[u8]) -> Vec<f64> {
    let cosine = |frequency: usize, place: usize| {
        (std::f64::consts::PI * frequency as f64 * (place as f64 + 0.5) / SIDE as f64).cos()
    };
    let waves: Vec<Vec<f64>> =
        (0..FREQUENCIES).map(|frequency| (0..SIDE).map(|place| cosine(frequency, place)).collect()).collect();
    let rows: Vec<Vec<f64>> = gray
        .chunks_exact(SIDE)
        .map(|row| waves.iter().map(|wave| row.iter().zip(wave).map(|(v, w)| f64::from(*v) * w).sum()).collect())
        .collect(); // [SIDE, FREQUENCIES]
    let sum = |vertical: &[f64], horizontal: usize| {
        rows.iter().zip(vertical).map(|(row, weight)| row[horizontal] * weight).sum()
    };
    waves.iter().flat_map(|wave| (0..FREQUENCIES).map(move |horizontal| sum(wave, horizontal))).collect()
}
