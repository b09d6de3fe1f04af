//! Loops over slices in a form the compiler turns into full-width vector code: blocks of a constant sixteen
//! elements, then the rest one by one.
//!
//! Every function is `#[inline(always)]` so that it is compiled with the registers of the [`Kernel`](crate::cpu::Kernel)
//! that calls it. Slices of one call have equal lengths. Sums are taken in a fixed order (sixteen partial sums),
//! so results do not depend on the instruction set's width, only on whether it fuses multiply and add.

use crate::element::Element;

/// Elements in one block.
const BLOCK: usize = 16;

/// `out[i] = f(a[i])`.
#[inline(always)]
pub(crate) fn map1<O: Element, A: Element>(out: &mut [O], a: &[A], f: impl Fn(f32) -> f32) {
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    for (out, a) in out_blocks.iter_mut().zip(a_blocks) {
        for i in 0..BLOCK {
            out[i] = O::from_f32(f(a[i].to_f32()));
        }
    }
    for (out, a) in out_rest.iter_mut().zip(a_rest) {
        *out = O::from_f32(f(a.to_f32()));
    }
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
pub(crate) fn map2<O: Element, A: Element, B: Element>(out: &mut [O], a: &[A], b: &[B], f: impl Fn(f32, f32) -> f32) {
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    let (b_blocks, b_rest) = b.as_chunks::<BLOCK>();
    for ((out, a), b) in out_blocks.iter_mut().zip(a_blocks).zip(b_blocks) {
        for i in 0..BLOCK {
            out[i] = O::from_f32(f(a[i].to_f32(), b[i].to_f32()));
        }
    }
    for ((out, a), b) in out_rest.iter_mut().zip(a_rest).zip(b_rest) {
        *out = O::from_f32(f(a.to_f32(), b.to_f32()));
    }
}

/// `out[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
pub(crate) fn map3<O: Element, A: Element, B: Element, C: Element>(
    out: &mut [O],
    a: &[A],
    b: &[B],
    c: &[C],
    f: impl Fn(f32, f32, f32) -> f32,
) {
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    let (b_blocks, b_rest) = b.as_chunks::<BLOCK>();
    let (c_blocks, c_rest) = c.as_chunks::<BLOCK>();
    for (((out, a), b), c) in out_blocks.iter_mut().zip(a_blocks).zip(b_blocks).zip(c_blocks) {
        for i in 0..BLOCK {
            out[i] = O::from_f32(f(a[i].to_f32(), b[i].to_f32(), c[i].to_f32()));
        }
    }
    for (((out, a), b), c) in out_rest.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *out = O::from_f32(f(a.to_f32(), b.to_f32(), c.to_f32()));
    }
}

/// `out[i] = f(out[i], a[i])`.
#[inline(always)]
pub(crate) fn update1<A: Element>(out: &mut [f32], a: &[A], f: impl Fn(f32, f32) -> f32) {
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    for (out, a) in out_blocks.iter_mut().zip(a_blocks) {
        for i in 0..BLOCK {
            out[i] = f(out[i], a[i].to_f32());
        }
    }
    for (out, a) in out_rest.iter_mut().zip(a_rest) {
        *out = f(*out, a.to_f32());
    }
}

/// `out[i] = f(out[i], a[i], b[i])`.
#[inline(always)]
pub(crate) fn update2<A: Element, B: Element>(out: &mut [f32], a: &[A], b: &[B], f: impl Fn(f32, f32, f32) -> f32) {
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    let (b_blocks, b_rest) = b.as_chunks::<BLOCK>();
    for ((out, a), b) in out_blocks.iter_mut().zip(a_blocks).zip(b_blocks) {
        for i in 0..BLOCK {
            out[i] = f(out[i], a[i].to_f32(), b[i].to_f32());
        }
    }
    for ((out, a), b) in out_rest.iter_mut().zip(a_rest).zip(b_rest) {
        *out = f(*out, a.to_f32(), b.to_f32());
    }
}

/// The sum over i of `f(a[i])`.
#[inline(always)]
pub(crate) fn sum1<A: Element>(a: &[A], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; BLOCK];
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    for a in a_blocks {
        for i in 0..BLOCK {
            sums[i] += f(a[i].to_f32());
        }
    }
    for (sum, a) in sums.iter_mut().zip(a_rest) {
        *sum += f(a.to_f32());
    }
    fold(sums, |a, b| a + b)
}

/// The sum over i of `f(a[i], b[i])`.
#[inline(always)]
pub(crate) fn sum2<A: Element, B: Element>(a: &[A], b: &[B], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; BLOCK];
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    let (b_blocks, b_rest) = b.as_chunks::<BLOCK>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..BLOCK {
            sums[i] += f(a[i].to_f32(), b[i].to_f32());
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += f(a.to_f32(), b.to_f32());
    }
    fold(sums, |a, b| a + b)
}

/// The largest element; minus infinity of an empty slice.
#[inline(always)]
pub(crate) fn maximum(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut maxima = [f32::NEG_INFINITY; BLOCK];
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    for a in a_blocks {
        for i in 0..BLOCK {
            maxima[i] = larger(a[i], maxima[i]);
        }
    }
    for (maximum, a) in maxima.iter_mut().zip(a_rest) {
        *maximum = larger(*a, *maximum);
    }
    fold(maxima, larger)
}

/// Folds a block pairwise: halves onto halves, in a fixed order.
#[inline(always)]
fn fold(mut block: [f32; BLOCK], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = BLOCK / 2;
    while half > 0 {
        for i in 0..half {
            block[i] = f(block[i], block[i + half]);
        }
        half /= 2;
    }
    block[0]
}
