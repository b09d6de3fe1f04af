//! Seeded draws. Every random choice of the renderer goes through [`Dice`], so that an image is a
//! function of its numbers alone and does not change when a sampling algorithm of the `rand` crate does.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of draws decides. Separate streams keep one decision from shifting the others:
/// a new background must not change the pose of the butterfly before it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topic {
    Genus = 1,
    Species = 2,
    Pose = 3,
    Individual = 4,
    Scenery = 5,
    Camera = 6,
    Foreground = 7,
}

/// A stream of draws.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of one topic. ChaCha's 64-bit stream number carries (`major`, `minor`), so no two
    /// species or instances can share a stream by accident.
    pub fn new(seed: u64, topic: Topic, major: u32, minor: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((topic as u64) << 56));
        rng.set_stream((u64::from(major) << 32) | u64::from(minor));
        Self(rng)
    }

    /// Uniform 32 bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Centerd on zero, within `±reach`, values near zero likelier (triangular).
    pub fn spread(&mut self, reach: f32) -> f32 {
        (self.unit() - self.unit()) * reach
    }

    /// Uniform in `0..n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of `options`, which must not be empty.
    pub fn pick<T: Copy, const N: usize>(&mut self, options: [T; N]) -> T {
        options[self.below(N as u32) as usize]
    }
}
