//! A picture reduced to what survives resizing, recompression and a change of light.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::rgb_image::RgbImage;

/// Side of the small gray picture, in pixels.
const SIDE: usize = 32;
/// Frequencies of each direction that enter the hash.
const FREQUENCIES: usize = 8;

/// A perceptual hash, to find pictures that may be the same, and a small gray picture, to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    hash: u64,
    gray: Box<[u8]>,
}

impl Sketch {
    /// Sketches `picture`, whatever its shape: both sides are brought to 32 pixels.
    pub fn of(picture: &RgbImage) -> Self {
        let gray = small_gray(picture);
        Self { hash: hash(&gray), gray: gray.into() }
    }

    /// How many of the 63 bits of the perceptual hashes differ: about 0 for the same picture, about 31 for unrelated
    /// ones.
    ///
    /// The hash has one bit for each of the lowest 8 x 8 frequencies of the small gray picture but the brightness: whether its cosine
    /// coefficient is above the median of all (pHash, Zauner 2010).
    pub fn hash_distance(&self, other: &Self) -> u32 {
        (self.hash ^ other.hash).count_ones()
    }

    /// A sketch of nothing but a hash, to test the look-up with.
    #[cfg(test)]
    pub(super) fn of_hash(hash: u64) -> Self {
        Self { hash, gray: Box::default() }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Correlation of the small gray pictures over their pixels, in [-1, 1]; brightness and contrast do not matter.
    /// A picture of a single gray has nothing to correlate: 1 with another such picture, 0 with any other.
    pub fn correlation(&self, other: &Self) -> f64 {
        correlate(&self.gray, other.gray.iter())
    }

    /// The same with one of the two pictures mirrored left to right.
    pub fn mirrored_correlation(&self, other: &Self) -> f64 {
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

fn small_gray(picture: &RgbImage) -> Vec<u8> {
    let gray = |rgb: &[u8]| {
        // Weights of Rec. 601, in 1/1024.
        ((306 * u32::from(rgb[0]) + 601 * u32::from(rgb[1]) + 117 * u32::from(rgb[2])) >> 10) as u8
    };
    let mut small = Image::new(SIDE as u32, SIDE as u32, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let resized = ImageRef::new(picture.width(), picture.height(), picture.pixels(), PixelType::U8x3)
        .ok()
        .is_some_and(|source| Resizer::new().resize(&source, &mut small, &options).is_ok());
    if resized { small.buffer().chunks_exact(3).map(gray).collect() } else { vec![0; SIDE * SIDE] }
}

fn hash(gray: &[u8]) -> u64 {
    let coefficients = low_frequencies(gray);
    // The first coefficient is the brightness.
    let mut sorted = coefficients[1..].to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    coefficients.iter().skip(1).fold(0, |bits, value| bits << 1 | u64::from(*value > median))
}

/// The lowest coefficients of the two-dimensional cosine transform (DCT-II), row-major.
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
