//! Tile products for AVX2 with FMA: 6 rows of 16 columns, twelve of the sixteen registers as sums.
//!
//! bf16 has no instructions here: each pair is widened to two f32 by a shift and a mask while it is read, so a
//! bf16 run means the same numbers as on a processor that has them, at about the speed of f32.

use std::arch::x86_64::*;

use super::{Kernel, Simd, TILE_FLOATS, Tile, WIDTH};
use crate::element::Bf16;

/// Proof that the processor has AVX2 and FMA: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.call(simd)
        }
        // SAFETY: a value of `Avx2` exists only where both features were detected.
        unsafe { compiled(self, kernel) }
    }
}

/// Operations on sixteen numbers, which are two registers.
macro_rules! lanewise {
    ($($name:ident($($operand:ident),+) = $instruction:ident;)+) => {
        $(
            #[inline(always)]
            fn $name(self, $($operand: Self::Vector),+) -> Self::Vector {
                // SAFETY: a value of this type proves the features.
                unsafe { [$instruction($($operand[0]),+), $instruction($($operand[1]),+)] }
            }
        )+
    };
}

impl Simd for Avx2 {
    const ROWS: usize = 6;
    const COLS: usize = 16;
    const LANES: usize = 8;

    type Vector = [__m256; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: a value of this type proves the features.
        [unsafe { _mm256_set1_ps(value) }; 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Self::Vector {
        let from = from.as_ptr();
        // SAFETY: a value of this type proves the features; `from` is sixteen floats.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    fn store(self, [low, high]: Self::Vector, to: &mut [f32; WIDTH]) {
        let to = to.as_mut_ptr();
        // SAFETY: a value of this type proves the features; `to` is sixteen floats.
        unsafe {
            _mm256_storeu_ps(to, low);
            _mm256_storeu_ps(to.add(8), high);
        }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[Bf16; WIDTH]) -> Self::Vector {
        let from: *const __m128i = from.as_ptr().cast();
        // SAFETY: a value of this type proves the features; `from` is sixteen 16-bit numbers.
        unsafe {
            let widen = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(half)));
            [widen(_mm_loadu_si128(from)), widen(_mm_loadu_si128(from.add(1)))]
        }
    }

    #[inline(always)]
    fn store_bf16(self, [low, high]: Self::Vector, to: &mut [Bf16; WIDTH]) {
        // SAFETY: a value of this type proves the features; `to` is sixteen 16-bit numbers.
        unsafe {
            let packed = _mm256_packus_epi32(rounded_bf16(low), rounded_bf16(high));
            // The packing works on halves of the registers: their middle quarters change places.
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
    }

    lanewise! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        max(a, b) = _mm256_max_ps;
        min(a, b) = _mm256_min_ps;
        mul_add(a, b, c) = _mm256_fmadd_ps;
    }

    #[inline(always)]
    fn where_less(self, [a, b]: [Self::Vector; 2], yes: Self::Vector, no: Self::Vector) -> Self::Vector {
        // SAFETY: a value of this type proves the features.
        unsafe {
            [
                _mm256_blendv_ps(no[0], yes[0], _mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0])),
                _mm256_blendv_ps(no[1], yes[1], _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])),
            ]
        }
    }

    #[inline(always)]
    fn power_of_two(self, [low, high]: Self::Vector) -> Self::Vector {
        // SAFETY: a value of this type proves the features.
        unsafe { [exponent(low), exponent(high)] }
    }

    #[inline(always)]
    fn tile_f32(self, tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        // SAFETY: a value of `Avx2` proves the features; the bounds were just checked.
        unsafe { dispatch_f32(tile, out) }
    }

    #[inline(always)]
    fn tile_bf16(self, tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        assert!(tile.depth.is_multiple_of(2) && tile.depth_stride == 1);
        // SAFETY: a value of `Avx2` proves the features; the bounds were just checked.
        unsafe { dispatch_bf16(tile, out) }
    }
}

/// bf16 in the low halves: rounded to nearest, ties to even; a NaN stays one.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn rounded_bf16(value: __m256) -> __m256i {
    let bits = _mm256_castps_si256(value);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
    let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
    _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan))
}

/// 2 to the power of the integers in the low bits.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn exponent(low_bits: __m256) -> __m256 {
    let shifted = _mm256_slli_epi32::<23>(_mm256_castps_si256(low_bits));
    _mm256_castsi256_ps(_mm256_add_epi32(shifted, _mm256_set1_epi32(127 << 23)))
}

/// # Safety
/// AVX2 and FMA; the bounds of [`Tile::assert_in_bounds`].
#[target_feature(enable = "avx2,fma")]
unsafe fn dispatch_f32(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    // SAFETY: as this function's own.
    unsafe { dispatch!(product_f32(tile, out), vectors 2, rows [6 5 4 3 2]) }
}

/// # Safety
/// As [`dispatch_f32`], with `ROWS == tile.rows` and `VECTORS == tile.vectors`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_f32<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    // One pointer a row: derived from each other they would be a chain of additions longer than the products.
    let rows: [_; ROWS] = std::array::from_fn(|r| tile.a.as_ptr().wrapping_add(r * tile.row_stride));
    let (mut at, mut b) = (0, tile.b.as_ptr());
    for _ in 0..tile.depth {
        // SAFETY: row r < rows and step k < depth address `a[r * row_stride + k * depth_stride]` and row k of `b`,
        // both inside their slices by the checked bounds; the pointers may end one step past, never read there.
        unsafe {
            let mut columns = [_mm256_setzero_ps(); VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = _mm256_loadu_ps(b.add(8 * v));
            }
            for (row, sums) in rows.iter().zip(&mut sums) {
                let left = _mm256_set1_ps(*row.wrapping_add(at));
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = _mm256_fmadd_ps(left, *column, *sum);
                }
            }
        }
        at += tile.depth_stride;
        b = b.wrapping_add(8 * VECTORS);
    }
    store(&sums, out);
}

/// # Safety
/// AVX2 and FMA; the bounds of [`Tile::assert_in_bounds`], an even depth and a depth stride of 1.
#[target_feature(enable = "avx2,fma")]
unsafe fn dispatch_bf16(tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
    // SAFETY: as this function's own.
    unsafe { dispatch!(product_bf16(tile, out), vectors 2, rows [6 5 4 3 2]) }
}

/// # Safety
/// As [`dispatch_bf16`], with `ROWS == tile.rows` and `VECTORS == tile.vectors`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_bf16<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
    let high_half = _mm256_set1_epi32(0xffff_0000u32.cast_signed());
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    // One pointer a row: derived from each other they would be a chain of additions longer than the products.
    let rows: [_; ROWS] = std::array::from_fn(|r| tile.a.as_ptr().wrapping_add(r * tile.row_stride));
    let (mut at, mut b) = (0, tile.b.as_ptr());
    for _ in 0..tile.depth / 2 {
        // SAFETY: pair p < depth / 2 of row r < rows is `a[r * row_stride + 2p ..][..2]`, and pair row p of `b` holds
        // `VECTORS * 8` pairs; both lie inside their slices by the checked bounds. Reads need no alignment.
        unsafe {
            // First elements of all pairs, then the second ones: twice the loads, but no register spilled.
            for first in [true, false] {
                let mut columns = [_mm256_setzero_ps(); VECTORS];
                for (v, column) in columns.iter_mut().enumerate() {
                    let pairs = _mm256_loadu_si256(b.add(16 * v).cast());
                    *column = widen(pairs, first, high_half);
                }
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let pair = row.wrapping_add(at).cast::<i32>().read_unaligned();
                    let left = widen(_mm256_set1_epi32(pair), first, high_half);
                    for (sum, column) in sums.iter_mut().zip(&columns) {
                        *sum = _mm256_fmadd_ps(left, *column, *sum);
                    }
                }
            }
        }
        at += 2;
        b = b.wrapping_add(16 * VECTORS);
    }
    store(&sums, out);
}

/// The first or second bf16 of each pair, as f32: bf16 is the upper half of an f32.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn widen(pairs: __m256i, first: bool, high_half: __m256i) -> __m256 {
    _mm256_castsi256_ps(if first { _mm256_slli_epi32::<16>(pairs) } else { _mm256_and_si256(pairs, high_half) })
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store<const ROWS: usize, const VECTORS: usize>(sums: &[[__m256; VECTORS]; ROWS], out: &mut [f32; TILE_FLOATS]) {
    for (out, sums) in out.chunks_exact_mut(Avx2::COLS).zip(sums) {
        for (out, sum) in out.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
            // SAFETY: `out` is eight floats.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), *sum) }
        }
    }
}
