//! Loops over slices, sixteen elements at a time, and what is left at the end filled up to sixteen.
//!
//! They are macros, because a closure is a separate function, compiled without the wide registers of the
//! [`Kernel`](crate::cpu::Kernel) that calls it. Slices of one call have equal lengths. Sums are taken in a fixed order
//! (four times sixteen partial sums), so results do not depend on the instruction set's width, only on whether it
//! fuses multiply and add.
//!
//! ```text
//! map!(simd, out, [x = x, w = weight] => x * w)              out[i] = x[i] * w[i]
//! update!(simd, out, old, [x = x] => old + x)                out[i] = out[i] + x[i]
//! sum!(simd, [x = x, y = y] => x * y)                        sum over i of x[i] * y[i]
//! ```

use crate::cpu::{Simd, WIDTH};
use crate::element::Element;
use crate::lanes::Lanes;

/// `out[i] =` an expression in the lanes of other slices.
macro_rules! map {
    ($simd:expr, $out:expr, [$($name:ident = $slice:expr),+] => $value:expr) => {{
        let (simd, out) = ($simd, &mut *$out);
        let len = out.len();
        let whole = len - len % $crate::cpu::WIDTH;
        let mut at = 0;
        while at < whole {
            $(let $name = $crate::elementwise::load(simd, &$slice[at..]);)+
            $crate::elementwise::store($value, &mut out[at..]);
            at += $crate::cpu::WIDTH;
        }
        if at < len {
            $(let $name = $crate::elementwise::load_part(simd, &$slice[at..len], 0.0);)+
            $crate::elementwise::store_part($value, &mut out[at..]);
        }
    }};
}

/// `out[i] =` an expression in the lanes of itself and of other slices.
macro_rules! update {
    ($simd:expr, $out:expr, $old:ident, [$($name:ident = $slice:expr),+] => $value:expr) => {{
        let (simd, out) = ($simd, &mut *$out);
        let len = out.len();
        let whole = len - len % $crate::cpu::WIDTH;
        let mut at = 0;
        while at < whole {
            let $old = $crate::elementwise::load(simd, &out[at..]);
            $(let $name = $crate::elementwise::load(simd, &$slice[at..]);)+
            $crate::elementwise::store($value, &mut out[at..]);
            at += $crate::cpu::WIDTH;
        }
        if at < len {
            let $old = $crate::elementwise::load_part(simd, &out[at..], 0.0);
            $(let $name = $crate::elementwise::load_part(simd, &$slice[at..len], 0.0);)+
            $crate::elementwise::store_part($value, &mut out[at..]);
        }
    }};
}

/// The sum over i of an expression in the lanes of slices.
macro_rules! sum {
    ($simd:expr, [$first:ident = $first_slice:expr $(, $name:ident = $slice:expr)*] => $value:expr) => {{
        let simd = $simd;
        let len = $first_slice.len();
        let whole = len - len % $crate::cpu::WIDTH;
        let mut sums = [$crate::lanes::Lanes::splat(simd, 0.0); 4];
        let mut at = 0;
        while at + 4 * $crate::cpu::WIDTH <= whole {
            for sum in &mut sums {
                let $first = $crate::elementwise::load(simd, &$first_slice[at..]);
                $(let $name = $crate::elementwise::load(simd, &$slice[at..]);)*
                *sum = *sum + $value;
                at += $crate::cpu::WIDTH;
            }
        }
        while at < whole {
            let $first = $crate::elementwise::load(simd, &$first_slice[at..]);
            $(let $name = $crate::elementwise::load(simd, &$slice[at..]);)*
            sums[0] = sums[0] + $value;
            at += $crate::cpu::WIDTH;
        }
        if at < len {
            let $first = $crate::elementwise::load_part(simd, &$first_slice[at..], 0.0);
            $(let $name = $crate::elementwise::load_part(simd, &$slice[at..len], 0.0);)*
            // What the expression makes of the filling does not count.
            sums[0] = sums[0] + $crate::elementwise::first_lanes($value, len - at);
        }
        ((sums[0] + sums[1]) + (sums[2] + sums[3])).fold(|a, b| a + b)
    }};
}

pub(crate) use {map, sum, update};

/// The first sixteen elements of a slice.
#[inline(always)]
pub(crate) fn load<S: Simd, E: Element>(simd: S, from: &[E]) -> Lanes<S> {
    #[expect(clippy::expect_used, reason = "callers leave at least sixteen")]
    E::load(simd, from.first_chunk::<WIDTH>().expect("sixteen elements"))
}

/// Sets the first sixteen elements of a slice.
#[inline(always)]
pub(crate) fn store<S: Simd, E: Element>(lanes: Lanes<S>, to: &mut [E]) {
    #[expect(clippy::expect_used, reason = "callers leave at least sixteen")]
    E::store(lanes, to.first_chunk_mut::<WIDTH>().expect("sixteen elements"));
}

/// Fewer than sixteen elements, filled up with `filling`.
#[inline(always)]
pub(crate) fn load_part<S: Simd, E: Element>(simd: S, from: &[E], filling: f32) -> Lanes<S> {
    let mut whole = [filling; WIDTH];
    for (to, from) in whole.iter_mut().zip(from) {
        *to = from.to_f32();
    }
    Lanes::load(simd, &whole)
}

/// Sets fewer than sixteen elements.
#[inline(always)]
pub(crate) fn store_part<S: Simd, E: Element>(lanes: Lanes<S>, to: &mut [E]) {
    let mut whole = [E::default(); WIDTH];
    E::store(lanes, &mut whole);
    for (to, from) in to.iter_mut().zip(whole) {
        *to = from;
    }
}

/// The first `count` lanes, zeros after them.
#[inline(always)]
pub(crate) fn first_lanes<S: Simd>(lanes: Lanes<S>, count: usize) -> Lanes<S> {
    let mut whole = [0.0; WIDTH];
    lanes.store(&mut whole);
    for lane in whole.iter_mut().skip(count) {
        *lane = 0.0;
    }
    Lanes::load(lanes.simd, &whole)
}

/// The largest element; minus infinity of an empty slice.
#[inline(always)]
pub(crate) fn maximum<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let mut maxima = [Lanes::splat(simd, f32::NEG_INFINITY); 4];
    let whole = values.len() - values.len() % WIDTH;
    let mut at = 0;
    while at + 4 * WIDTH <= whole {
        for maximum in &mut maxima {
            *maximum = load(simd, &values[at..]).max(*maximum);
            at += WIDTH;
        }
    }
    while at < whole {
        maxima[0] = load(simd, &values[at..]).max(maxima[0]);
        at += WIDTH;
    }
    if at < values.len() {
        maxima[0] = load_part(simd, &values[at..], f32::NEG_INFINITY).max(maxima[0]);
    }
    maxima[0].max(maxima[1]).max(maxima[2].max(maxima[3])).fold(|a, b| if a > b { a } else { b })
}
