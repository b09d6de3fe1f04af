//! The safe tile products: the fallback for processors without a kernel of their own, and the twin that the
//! others are tested against.

use super::{Simd, TILE_FLOATS, Tile, WIDTH};
use crate::element::{Bf16, Element};

/// Plain Rust; the compiler vectorises it for the target's baseline (SSE2, NEON).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

/// Where the baseline has a fused multiply-add, `f32::mul_add` is one instruction; elsewhere it is a slow library call.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

impl Simd for Portable {
    const ROWS: usize = 4;
    const COLS: usize = 16;
    const LANES: usize = 8;

    type Vector = [f32; WIDTH];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; WIDTH] {
        [value; WIDTH]
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> [f32; WIDTH] {
        *from
    }

    #[inline(always)]
    fn store(self, vector: [f32; WIDTH], to: &mut [f32; WIDTH]) {
        *to = vector;
    }

    #[inline(always)]
    fn load_bf16(self, from: &[Bf16; WIDTH]) -> [f32; WIDTH] {
        from.map(Element::to_f32)
    }

    #[inline(always)]
    fn store_bf16(self, vector: [f32; WIDTH], to: &mut [Bf16; WIDTH]) {
        *to = vector.map(Element::from_f32);
    }

    #[inline(always)]
    fn add(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; WIDTH], b: [f32; WIDTH], c: [f32; WIDTH]) -> [f32; WIDTH] {
        let mut out = c;
        for i in 0..WIDTH {
            out[i] = mul_add(a[i], b[i], c[i]);
        }
        out
    }

    #[inline(always)]
    fn max(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        lane_by_lane(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn where_less(self, [a, b]: [[f32; WIDTH]; 2], yes: [f32; WIDTH], no: [f32; WIDTH]) -> [f32; WIDTH] {
        let mut out = no;
        for i in 0..WIDTH {
            out[i] = if a[i] < b[i] { yes[i] } else { no[i] };
        }
        out
    }

    #[inline(always)]
    fn power_of_two(self, low_bits: [f32; WIDTH]) -> [f32; WIDTH] {
        low_bits.map(|value| f32::from_bits((value.to_bits() << 23).wrapping_add(127 << 23)))
    }

    fn tile_f32(self, tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        match (tile.rows, tile.vectors) {
            (4, 2) => product::<4, 16>(tile, out),
            (4, 1) => product::<4, 8>(tile, out),
            (rows, vectors) => {
                // The few rows at an edge go one by one.
                for r in 0..rows {
                    let row = Tile { rows: 1, a: &tile.a[r * tile.row_stride..], ..*tile };
                    let mut part = [0.0; TILE_FLOATS];
                    match vectors {
                        1 => product::<1, 8>(&row, &mut part),
                        _ => product::<1, 16>(&row, &mut part),
                    }
                    out[r * Self::COLS..(r + 1) * Self::COLS].copy_from_slice(&part[..Self::COLS]);
                }
            }
        }
    }

    fn tile_bf16(self, tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]) {
        tile.assert_in_bounds::<Self>(out);
        let cols = tile.vectors * Self::LANES;
        for r in 0..tile.rows {
            let row = &mut out[r * Self::COLS..][..cols];
            row.fill(0.0);
            for (pair, b) in tile.b.chunks_exact(2 * cols).take(tile.depth / 2).enumerate() {
                let at = r * tile.row_stride + 2 * pair;
                let (first, second) = (tile.a[at].to_f32(), tile.a[at + 1].to_f32());
                for (sum, b) in row.iter_mut().zip(b.as_chunks::<2>().0) {
                    *sum = mul_add(first, b[0].to_f32(), *sum);
                    *sum = mul_add(second, b[1].to_f32(), *sum);
                }
            }
        }
    }
}

/// Products summed one after the other before their sum joins the total: rounding errors then grow with this and with
/// the number of sums rather than with the depth, which without a fused multiply-add would be felt where a sum cancels.
const BLOCK: usize = 32;

/// A tile of constant shape, so that its sums stay in registers.
fn product<const ROWS: usize, const COLS: usize>(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    let mut totals = [[0.0f32; COLS]; ROWS];
    let (rows_of_b, _) = tile.b.as_chunks::<COLS>();
    for (block, b) in rows_of_b[..tile.depth].chunks(BLOCK).enumerate() {
        let mut sums = [[0.0f32; COLS]; ROWS];
        for (k, b) in b.iter().enumerate() {
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = tile.a[r * tile.row_stride + (block * BLOCK + k) * tile.depth_stride];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = mul_add(a, *b, *sum);
                }
            }
        }
        for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            *total += sum;
        }
    }
    for (out, totals) in out.chunks_exact_mut(Portable::COLS).zip(&totals) {
        out[..COLS].copy_from_slice(totals);
    }
}

#[inline(always)]
fn lane_by_lane(a: [f32; WIDTH], b: [f32; WIDTH], f: impl Fn(f32, f32) -> f32) -> [f32; WIDTH] {
    let mut out = a;
    for i in 0..WIDTH {
        out[i] = f(a[i], b[i]);
    }
    out
}

/// `a * b + c`.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
