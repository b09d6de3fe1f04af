//! Lattice noise: texture of wings, bark, stone and paper as a pure function of position.

use super::scalar::{ease, split};

/// A well-mixed 32-bit hash of a lattice point.
pub(super) const fn hash(seed: u32, x: i32, y: i32) -> u32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// Uniform in `[-1, 1)` for a lattice point.
pub(super) fn at(seed: u32, x: i32, y: i32) -> f32 {
    (hash(seed, x, y) >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0
}

/// Two independent roughly normal numbers of unit variance for a lattice point: each the sum of two
/// uniform bytes, which spans ±2.4 standard deviations.
pub(super) fn gaussians(seed: u32, x: i32, y: i32) -> [f32; 2] {
    let [a, b, c, d] = hash(seed, x, y).to_le_bytes().map(f32::from);
    // A uniform byte has variance (256² - 1) / 12.
    [(a + b - 255.0) * 0.009_568, (c + d - 255.0) * 0.009_568]
}

/// Smooth noise in `[-1, 1]`, one feature a unit, repeating after 256 units.
pub(super) fn value(seed: u32, x: f32, y: f32) -> f32 {
    let ((ix, tx), (iy, ty)) = (split(x), split(y));
    let (tx, ty) = (ease(tx), ease(ty));
    // Two rounds of a shuffled table are a cheaper hash than arithmetic, for the four corners at once.
    let column = (ix as u32).wrapping_add(seed) as u8;
    let row = (iy as u32).wrapping_add(seed >> 8) as u8;
    let turn = (seed >> 16) as u8;
    let left = LATTICE[usize::from(column)] ^ turn;
    let right = LATTICE[usize::from(column.wrapping_add(1))] ^ turn;
    let corner = |side: u8, row: u8| f32::from(LATTICE[usize::from(side.wrapping_add(row))]);
    let below = row.wrapping_add(1);
    let (a, b, c, d) = (corner(left, row), corner(right, row), corner(left, below), corner(right, below));
    let (top, bottom) = (a + (b - a) * tx, c + (d - c) * tx);
    (top + (bottom - top) * ty) * (2.0 / 255.0) - 1.0
}

/// The bytes in a random order.
static LATTICE: [u8; 256] = shuffled();

const fn shuffled() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = i as u8;
        i += 1;
    }
    while i > 1 {
        let j = (hash(0x5EED, i as i32, 0) as usize) % i;
        i -= 1;
        (table[i], table[j]) = (table[j], table[i]);
    }
    table
}

/// Sum of `octaves` of [`value`], each twice as fine and half as strong; within `[-1, 1]`.
pub(super) fn fractal(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        // The offset keeps the lattices of the octaves from lining up at the origin.
        let shift = 17.3 * octave as f32;
        sum += weight * value(seed.wrapping_add(octave), x * scale + shift, y * scale - shift);
        total += weight;
        weight *= 0.5;
        scale *= 2.0;
    }
    sum / total
}
