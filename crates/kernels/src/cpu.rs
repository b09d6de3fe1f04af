//! Which instructions this processor has, found once at run time, and how a kernel is compiled for each of them.
//!
//! A kernel is a struct that implements [`Kernel`]; [`Cpu::run`] calls it inside a function compiled for the
//! processor's instruction set, so plain loops in it become AVX2 or AVX-512 code in one portable binary. Only
//! the innermost matrix tiles are written with intrinsics (`cpu/avx2.rs`, `cpu/avx512.rs`), and they have the safe
//! twin of `cpu/portable.rs`.

/// Calls `product::<ROWS, VECTORS>` for the tile's own shape; one row and one vector go without saying.
#[cfg(target_arch = "x86_64")]
macro_rules! dispatch {
    ($product:ident($tile:ident, $out:ident), vectors $($vectors:literal)+, rows $rows:tt) => {
        match $tile.vectors {
            $($vectors => dispatch!(with $vectors, $product($tile, $out), $rows),)+
            _ => dispatch!(with 1, $product($tile, $out), $rows),
        }
    };
    (with $vectors:literal, $product:ident($tile:ident, $out:ident), [$($rows:literal)+]) => {
        match $tile.rows {
            $($rows => $product::<$rows, $vectors>($tile, $out),)+
            _ => $product::<1, $vectors>($tile, $out),
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::sync::OnceLock;

use crate::element::Bf16;

/// Rows times columns of the largest matrix tile of any instruction set, in floats.
pub(crate) const TILE_FLOATS: usize = 8 * 48;

/// Floats in a [`Simd::Vector`], whatever the instruction set: sums taken lane by lane are the same on all.
pub(crate) const WIDTH: usize = 16;

/// Operands of one tile product: `out[r][c] = sum over k of a[r][k] * b[k][c]`.
pub(crate) struct Tile<'a, E> {
    /// Rows of the tile, at most [`Simd::ROWS`].
    pub rows: usize,
    /// Vectors of [`Simd::LANES`] columns in the tile, at most `Simd::COLS / Simd::LANES`.
    pub vectors: usize,
    /// Length of the sums; even for bf16.
    pub depth: usize,
    /// Left operand: element (r, k) is `a[r * row_stride + k * depth_stride]`.
    pub a: &'a [E],
    pub row_stride: usize,
    /// Always 1 for bf16, whose elements are read in pairs.
    pub depth_stride: usize,
    /// Right operand, packed: `depth` rows of `vectors * LANES` columns; bf16 in pairs of rows, `[depth/2][columns][2]`.
    pub b: &'a [E],
}

impl<E> Tile<'_, E> {
    /// Checks every bound that the pointer arithmetic of a tile kernel relies on.
    fn assert_in_bounds<S: Simd>(&self, out: &[f32; TILE_FLOATS]) {
        assert!(self.rows >= 1 && self.rows <= S::ROWS);
        assert!(self.vectors >= 1 && self.vectors * S::LANES <= S::COLS);
        assert!(S::ROWS * S::COLS <= out.len());
        assert!(self.b.len() >= self.depth * self.vectors * S::LANES);
        assert!(
            self.depth == 0 || (self.rows - 1) * self.row_stride + (self.depth - 1) * self.depth_stride < self.a.len()
        );
    }
}

/// An instruction set: the shape of its matrix tiles and the tile products themselves.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Most rows of a tile.
    const ROWS: usize;
    /// Most columns of a tile.
    const COLS: usize;
    /// Floats in one register.
    const LANES: usize;

    /// Sixteen floats in one or more registers; kernels compute with them as [`Lanes`](crate::lanes::Lanes).
    type Vector: Copy;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, from: &[f32; WIDTH]) -> Self::Vector;
    fn store(self, vector: Self::Vector, to: &mut [f32; WIDTH]);
    fn load_bf16(self, from: &[Bf16; WIDTH]) -> Self::Vector;
    /// Rounds to nearest, ties to even; whether the smallest (subnormal) numbers become zero is up to the processor.
    fn store_bf16(self, vector: Self::Vector, to: &mut [Bf16; WIDTH]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger; `b` where one is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller; `b` where one is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `yes` where the first of the pair is less than the second, else `no`.
    fn where_less(self, pair: [Self::Vector; 2], yes: Self::Vector, no: Self::Vector) -> Self::Vector;
    /// 2 to the power of an integer that lies in the low bits of each float's representation.
    fn power_of_two(self, low_bits: Self::Vector) -> Self::Vector;

    /// The product of a tile; row r of the result starts at `out[r * COLS]`.
    fn tile_f32(self, tile: &Tile<'_, f32>, out: &mut [f32; TILE_FLOATS]);

    /// The same for bf16 operands, summed in f32.
    fn tile_bf16(self, tile: &Tile<'_, Bf16>, out: &mut [f32; TILE_FLOATS]);
}

/// A computation that is compiled once for each instruction set.
///
/// `call` and all it calls must be `#[inline(always)]`: code that is not inlined runs without the wide registers.
pub(crate) trait Kernel {
    type Output;

    fn call<S: Simd>(self, simd: S) -> Self::Output;
}

/// The instruction set chosen for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpu {
    Portable(portable::Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(avx512::Avx512Bf16),
}

/// Columns and register width of a tile: what packing needs to know of an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    pub cols: usize,
    pub lanes: usize,
}

impl Cpu {
    /// Every instruction set this processor has, plainest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable(portable::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(avx2::Avx2::detect().map(Self::Avx2));
            all.extend(avx512::Avx512::detect().map(Self::Avx512));
            all.extend(avx512::Avx512Bf16::detect().map(Self::Avx512Bf16));
        }
        all
    }

    /// The best instruction set of this processor, or the one that the environment variable `KINSIGHT_CPU` names
    /// (`portable`, `avx2`, `avx512`) where the processor has it. Found once.
    pub(crate) fn detect() -> Self {
        static FOUND: OnceLock<Cpu> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let all = Self::available();
            let named =
                std::env::var("KINSIGHT_CPU").ok().and_then(|name| all.iter().find(|cpu| cpu.name() == name).copied());
            let best = all.last().copied();
            named.or(best).unwrap_or(Self::Portable(portable::Portable))
        })
    }

    /// Name of the instruction set, as [`crate::cpu_features`] reports it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16(_) => "avx512bf16",
        }
    }

    pub(crate) fn tile_shape(self) -> TileShape {
        fn of<S: Simd>(_: S) -> TileShape {
            TileShape { cols: S::COLS, lanes: S::LANES }
        }
        match self {
            Self::Portable(simd) => of(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => of(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => of(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16(simd) => of(simd),
        }
    }

    /// Runs `kernel` compiled for this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(feature = "profile")]
        let _span = crate::profile::Span::new(std::any::type_name::<K>());
        match self {
            Self::Portable(simd) => kernel.call(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16(simd) => simd.run(kernel),
        }
    }
}

/// The instruction set that the kernels of this process use: `avx512bf16`, `avx512`, `avx2` or `portable`.
///
/// `bf16` works on all of them; only `avx512bf16` computes it faster than f32.
pub fn cpu_features() -> &'static str {
    Cpu::detect().name()
}
