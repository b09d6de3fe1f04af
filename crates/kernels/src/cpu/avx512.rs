//! Tile products for AVX-512: 8 rows of 48 columns, 24 of the 32 registers as sums; and for `avx512bf16`, whose one
//! instruction adds two products of bf16 pairs to each f32 sum.

use std::arch::x86_64::*;

use super::{Kernel, Simd, TILE_FLOATS, Tile, WIDTH};
use crate::element::Bf16;

/// Proof that the processor has the AVX-512 sets used here: only [`Avx512::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

/// The same, with `avx512bf16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512Bf16(Avx512);

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.call(simd)
        }
        // SAFETY: a value of `Avx512` exists only where all these features were detected.
        unsafe { compiled(self, kernel) }
    }
}

impl Avx512Bf16 {
    pub(super) fn detect() -> Option<Self> {
        let base = Avx512::detect()?;
        is_x86_feature_detected!("avx512bf16").then_some(Self(base))
    }

    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx512Bf16, kernel: K) -> K::Output {
            kernel.call(simd)
        }
        // SAFETY: a value of `Avx512Bf16` exists only where all these features were detected.
        unsafe { compiled(self, kernel) }
    }
}

/// Operations on sixteen numbers, which are one register.
macro_rules! lanewise {
    ($($name:ident($($operand:ident),+) = $instruction:ident;)+) => {
        $(
            #[inline(always)]
            fn $name(self, $($operand: __m512),+) -> __m512 {
                // SAFETY: a value of this type proves the features.
                unsafe { $instruction($($operand),+) }
            }
        )+
    };
}

/// The lane operations, the same for both sets but for the rounding to bf16.
macro_rules! lanes {
    ($store:ident) => {
        type Vector = __m512;

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            // SAFETY: a value of this type proves the features.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        fn load(self, from: &[f32; WIDTH]) -> __m512 {
            // SAFETY: a value of this type proves the features; `from` is sixteen floats.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, vector: __m512, to: &mut [f32; WIDTH]) {
            // SAFETY: a value of this type proves the features; `to` is sixteen floats.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
        }

        #[inline(always)]
        fn load_bf16(self, from: &[Bf16; WIDTH]) -> __m512 {
            // SAFETY: a value of this type proves the features; `from` is sixteen 16-bit numbers.
            unsafe {
                let half = _mm256_loadu_si256(from.as_ptr().cast());
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)))
            }
        }

        #[inline(always)]
        fn store_bf16(self, vector: __m512, to: &mut [Bf16; WIDTH]) {
            // SAFETY: a value of this type proves the features; `to` is sixteen 16-bit numbers, the size of the register.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), $store(vector)) }
        }

        lanewise! {
            add(a, b) = _mm512_add_ps;
            sub(a, b) = _mm512_sub_ps;
            mul(a, b) = _mm512_mul_ps;
            div(a, b) = _mm512_div_ps;
            max(a, b) = _mm512_max_ps;
            min(a, b) = _mm512_min_ps;
            mul_add(a, b, c) = _mm512_fmadd_ps;
        }

        #[inline(always)]
        fn where_less(self, [a, b]: [__m512; 2], yes: __m512, no: __m512) -> __m512 {
            // SAFETY: a value of this type proves the features.
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes) }
        }

        #[inline(always)]
        fn power_of_two(self, low_bits: __m512) -> __m512 {
            // SAFETY: a value of this type proves the features.
            unsafe { exponent(low_bits) }
        }
    };
}

impl Simd for Avx512 {
    const ROWS: usize = 8;
    const COLS: usize = 48;
    const LANES: usize = 16;

    lanes!(rounded_bf16);

    #[inline(always)]
    fn tile_f32(self, tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        // SAFETY: a value of `Avx512` proves the features; the bounds were just checked.
        unsafe { dispatch_f32(tile, out) }
    }

    #[inline(always)]
    fn tile_bf16(self, tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        assert!(tile.depth.is_multiple_of(2) && tile.depth_stride == 1);
        // SAFETY: a value of `Avx512` proves the features; the bounds were just checked.
        unsafe { dispatch_widened(tile, out) }
    }
}

impl Simd for Avx512Bf16 {
    const ROWS: usize = Avx512::ROWS;
    const COLS: usize = Avx512::COLS;
    const LANES: usize = Avx512::LANES;

    lanes!(converted_bf16);

    #[inline(always)]
    fn tile_f32(self, tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
        self.0.tile_f32(tile, out);
    }

    #[inline(always)]
    fn tile_bf16(self, tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        assert!(tile.depth.is_multiple_of(2) && tile.depth_stride == 1);
        // SAFETY: a value of `Avx512Bf16` proves the features; the bounds were just checked.
        unsafe { dispatch_bf16(tile, out) }
    }
}

/// bf16 by integer arithmetic: rounded to nearest, ties to even; a NaN stays one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn rounded_bf16(value: __m512) -> __m256i {
    let bits = _mm512_castps_si512(value);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
    let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
    _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(_mm512_mask_blend_epi32(nan, rounded, quiet)))
}

/// The same by the processor's conversion, which takes subnormal numbers for zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn converted_bf16(value: __m512) -> __m256i {
    // SAFETY: both types are 256 bits without an invalid pattern.
    unsafe { std::mem::transmute(_mm512_cvtneps_pbh(value)) }
}

/// 2 to the power of the integers in the low bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn exponent(low_bits: __m512) -> __m512 {
    let shifted = _mm512_slli_epi32::<23>(_mm512_castps_si512(low_bits));
    _mm512_castsi512_ps(_mm512_add_epi32(shifted, _mm512_set1_epi32(127 << 23)))
}

/// # Safety
/// AVX-512F; the bounds of [`Tile::assert_in_bounds`].
#[target_feature(enable = "avx512f")]
unsafe fn dispatch_f32(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    // SAFETY: as this function's own.
    unsafe { dispatch!(product_f32(tile, out), vectors 3 2, rows [8 7 6 5 4 3 2]) }
}

/// # Safety
/// AVX-512F; the bounds of [`Tile::assert_in_bounds`], an even depth and a depth stride of 1.
#[target_feature(enable = "avx512f")]
unsafe fn dispatch_widened(tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
    // SAFETY: as this function's own.
    unsafe { dispatch!(product_widened(tile, out), vectors 3 2, rows [8 7 6 5 4 3 2]) }
}

/// # Safety
/// AVX-512F and its bf16 products; the bounds of [`Tile::assert_in_bounds`], an even depth and a depth stride of 1.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn dispatch_bf16(tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
    // SAFETY: as this function's own.
    unsafe { dispatch!(product_bf16(tile, out), vectors 3 2, rows [8 7 6 5 4 3 2]) }
}

/// # Safety
/// As [`dispatch_f32`], with `ROWS == tile.rows` and `VECTORS == tile.vectors`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn product_f32<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    // One pointer a row: derived from each other they would be a chain of additions longer than the products.
    let rows: [_; ROWS] = std::array::from_fn(|r| tile.a.as_ptr().wrapping_add(r * tile.row_stride));
    let (mut at, mut b) = (0, tile.b.as_ptr());
    for _ in 0..tile.depth {
        // SAFETY: row r < rows and step k < depth address `a[r * row_stride + k * depth_stride]` and row k of `b`,
        // both inside their slices by the checked bounds; the pointers may end one step past, never read there.
        unsafe {
            let mut columns = [_mm512_setzero_ps(); VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = _mm512_loadu_ps(b.add(16 * v));
            }
            for (row, sums) in rows.iter().zip(&mut sums) {
                let left = _mm512_set1_ps(*row.wrapping_add(at));
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = _mm512_fmadd_ps(left, *column, *sum);
                }
            }
        }
        at += tile.depth_stride;
        b = b.wrapping_add(16 * VECTORS);
    }
    store(&sums, out);
}

/// bf16 without its instruction: pairs are widened to f32 by a shift and a mask.
///
/// # Safety
/// As [`dispatch_widened`], with `ROWS == tile.rows` and `VECTORS == tile.vectors`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn product_widened<const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<'_, Bf16>,
    out: &mut [f32; TILE_FLOATS],
) {
    let high_half = _mm512_set1_epi32(0xffff_0000u32.cast_signed());
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    // One pointer a row: derived from each other they would be a chain of additions longer than the products.
    let rows: [_; ROWS] = std::array::from_fn(|r| tile.a.as_ptr().wrapping_add(r * tile.row_stride));
    let (mut at, mut b) = (0, tile.b.as_ptr());
    for _ in 0..tile.depth / 2 {
        // SAFETY: as in `product_bf16`.
        unsafe {
            for first in [true, false] {
                let widen = |pairs: __m512i| {
                    _mm512_castsi512_ps(if first {
                        _mm512_slli_epi32::<16>(pairs)
                    } else {
                        _mm512_and_si512(pairs, high_half)
                    })
                };
                let mut columns = [_mm512_setzero_ps(); VECTORS];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = widen(_mm512_loadu_si512(b.add(32 * v).cast()));
                }
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let pair = row.wrapping_add(at).cast::<i32>().read_unaligned();
                    let left = widen(_mm512_set1_epi32(pair));
                    for (sum, column) in sums.iter_mut().zip(&columns) {
                        *sum = _mm512_fmadd_ps(left, *column, *sum);
                    }
                }
            }
        }
        at += 2;
        b = b.wrapping_add(32 * VECTORS);
    }
    store(&sums, out);
}

/// # Safety
/// As [`dispatch_bf16`], with `ROWS == tile.rows` and `VECTORS == tile.vectors`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn product_bf16<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    // One pointer a row: derived from each other they would be a chain of additions longer than the products.
    let rows: [_; ROWS] = std::array::from_fn(|r| tile.a.as_ptr().wrapping_add(r * tile.row_stride));
    let (mut at, mut b) = (0, tile.b.as_ptr());
    for _ in 0..tile.depth / 2 {
        // SAFETY: pair p < depth / 2 of row r < rows is `a[r * row_stride + 2p ..][..2]`, and pair row p of `b` holds
        // `VECTORS * 16` pairs; both lie inside their slices by the checked bounds. Reads need no alignment, and
        // `__m512bh` has the size of `__m512i` and no invalid bit pattern.
        unsafe {
            let mut columns = [_mm512_setzero_si512(); VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = _mm512_loadu_si512(b.add(32 * v).cast());
            }
            for (row, sums) in rows.iter().zip(&mut sums) {
                let pair = row.wrapping_add(at).cast::<i32>().read_unaligned();
                let left: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    let column: __m512bh = std::mem::transmute(*column);
                    *sum = _mm512_dpbf16_ps(*sum, left, column);
                }
            }
        }
        at += 2;
        b = b.wrapping_add(32 * VECTORS);
    }
    store(&sums, out);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const ROWS: usize, const VECTORS: usize>(sums: &[[__m512; VECTORS]; ROWS], out: &mut [f32; TILE_FLOATS]) {
    for (out, sums) in out.chunks_exact_mut(Avx512::COLS).zip(sums) {
        for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
            // SAFETY: `out` is sixteen floats.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *sum) }
        }
    }
}
