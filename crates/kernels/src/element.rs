//! The two number formats in which operands of matrix products are kept: f32 and bf16.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};

use crate::cpu::{Simd, TILE_FLOATS, Tile, WIDTH};
use crate::lanes::Lanes;

/// The upper half of an f32: its sign, its exponent and seven bits of its fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

// SAFETY: a transparent 16-bit integer: no padding, and every bit pattern is a value.
unsafe impl Zeroable for Bf16 {}
// SAFETY: as above.
unsafe impl Pod for Bf16 {}

/// A number format for operands. Sums, softmax, norms and the residual stream are f32 in either.
pub(crate) trait Element: Pod + Default + Send + Sync {
    /// Whether tiles read the left operand, and packing lays out the right one, in pairs along the depth.
    const PAIRS: bool;

    fn to_f32(self) -> f32;

    /// Rounds to nearest, ties to even.
    fn from_f32(value: f32) -> Self;

    /// f32 values in this format; themselves, if it is f32.
    fn from_slice(values: &[f32]) -> Cow<'_, [Self]>;

    fn load<S: Simd>(simd: S, from: &[Self; WIDTH]) -> Lanes<S>;

    /// Rounds as [`Self::from_f32`]; the smallest (subnormal) numbers may become zero.
    fn store<S: Simd>(lanes: Lanes<S>, to: &mut [Self; WIDTH]);

    fn tile<S: Simd>(simd: S, tile: &Tile<'_, Self>, out: &mut [f32; TILE_FLOATS]);
}

impl Element for f32 {
    const PAIRS: bool = false;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    fn from_slice(values: &[f32]) -> Cow<'_, [Self]> {
        Cow::Borrowed(values)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; WIDTH]) -> Lanes<S> {
        Lanes::load(simd, from)
    }

    #[inline(always)]
    fn store<S: Simd>(lanes: Lanes<S>, to: &mut [Self; WIDTH]) {
        lanes.store(to);
    }

    #[inline(always)]
    fn tile<S: Simd>(simd: S, tile: &Tile<'_, Self>, out: &mut [f32; TILE_FLOATS]) {
        simd.tile_f32(tile, out);
    }
}

impl Element for Bf16 {
    const PAIRS: bool = true;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // Rounding could carry a NaN's fraction into the sign: a NaN keeps its upper half, made quiet, instead.
        let kept = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
        Self((kept >> 16) as u16)
    }

    fn from_slice(values: &[f32]) -> Cow<'_, [Self]> {
        values.iter().map(|&value| Self::from_f32(value)).collect()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; WIDTH]) -> Lanes<S> {
        Lanes { simd, vector: simd.load_bf16(from) }
    }

    #[inline(always)]
    fn store<S: Simd>(lanes: Lanes<S>, to: &mut [Self; WIDTH]) {
        lanes.simd.store_bf16(lanes.vector, to);
    }

    #[inline(always)]
    fn tile<S: Simd>(simd: S, tile: &Tile<'_, Self>, out: &mut [f32; TILE_FLOATS]) {
        simd.tile_bf16(tile, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even_and_keeps_specials() {
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (-0.0, -0.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(Bf16::from_f32(value).to_f32().to_bits(), f32::to_bits(expected));
        }
        assert!(Bf16::from_f32(f32::NAN).to_f32().is_nan());
        assert!(Bf16::from_f32(f32::from_bits(0x7f80_0001)).to_f32().is_nan());
    }
}
