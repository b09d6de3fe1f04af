//! Sixteen floats side by side, as kernels compute with them: one AVX-512 register, two of AVX2, or an array.
//!
//! Compilers turn some loops over floats into wide instructions and others into gathers of single numbers; with these
//! it is not left to chance. Every operation is `#[inline(always)]`, so that it becomes one instruction of the
//! [`Kernel`](crate::cpu::Kernel) that uses it.

use std::ops::{Add, Div, Mul, Sub};

use crate::cpu::{Simd, WIDTH};

/// Sixteen floats.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<S: Simd> {
    pub simd: S,
    pub vector: S::Vector,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(crate) fn splat(simd: S, value: f32) -> Self {
        Self { simd, vector: simd.splat(value) }
    }

    #[inline(always)]
    pub(crate) fn load(simd: S, from: &[f32; WIDTH]) -> Self {
        Self { simd, vector: simd.load(from) }
    }

    #[inline(always)]
    pub(crate) fn store(self, to: &mut [f32; WIDTH]) {
        self.simd.store(self.vector, to);
    }

    /// `self * b + c`, rounded once where the processor can.
    #[inline(always)]
    pub(crate) fn mul_add(self, b: Self, c: Self) -> Self {
        Self { vector: self.simd.mul_add(self.vector, b.vector, c.vector), ..self }
    }

    /// The larger; `other` where one is NaN.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        Self { vector: self.simd.max(self.vector, other.vector), ..self }
    }

    /// The smaller; `other` where one is NaN.
    #[inline(always)]
    pub(crate) fn min(self, other: Self) -> Self {
        Self { vector: self.simd.min(self.vector, other.vector), ..self }
    }

    /// `yes` where `self < other`, else `no`.
    #[inline(always)]
    pub(crate) fn where_less(self, other: Self, yes: Self, no: Self) -> Self {
        let vector = self.simd.where_less([self.vector, other.vector], yes.vector, no.vector);
        Self { vector, ..self }
    }

    /// 2 to the power of an integer that lies in the low bits of each float's representation.
    #[inline(always)]
    pub(crate) fn power_of_two(self) -> Self {
        Self { vector: self.simd.power_of_two(self.vector), ..self }
    }

    /// The lanes of an array, folded pairwise: halves onto halves, in a fixed order.
    #[inline(always)]
    pub(crate) fn fold(self, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0; WIDTH];
        self.store(&mut lanes);
        let mut half = WIDTH / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = f(lanes[i], lanes[i + half]);
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Writes an operator between lanes, and between lanes and one number.
macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { vector: self.simd.$method(self.vector, other.vector), ..self }
            }
        }

        impl<S: Simd> $trait<f32> for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: f32) -> Self {
                let other = self.simd.splat(other);
                Self { vector: self.simd.$method(self.vector, other), ..self }
            }
        }
    };
}

operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);
