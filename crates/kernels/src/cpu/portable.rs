//! The safe tile products: the fallback for processors without a kernel of their own, and the twin that the
//! others are tested against.

use super::{Simd, TILE_FLOATS, Tile};
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

    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
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
                    *sum = self.mul_add(first, b[0].to_f32(), *sum);
                    *sum = self.mul_add(second, b[1].to_f32(), *sum);
                }
            }
        }
    }
}

/// A tile of constant shape, so that its sums stay in registers.
fn product<const ROWS: usize, const COLS: usize>(tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]) {
    let mut sums = [[0.0f32; COLS]; ROWS];
    for (k, b) in tile.b.as_chunks::<COLS>().0.iter().take(tile.depth).enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let a = tile.a[r * tile.row_stride + k * tile.depth_stride];
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = Portable.mul_add(a, *b, *sum);
            }
        }
    }
    for (out, sums) in out.chunks_exact_mut(Portable::COLS).zip(&sums) {
        out[..COLS].copy_from_slice(sums);
    }
}
