//! The exponential and the exact GELU, sixteen numbers at a time.

use crate::cpu::Simd;
use crate::lanes::Lanes;

/// e to the power of `x`, to about one unit in the last place; `x` is clamped to the range whose result is normal.
///
/// Splits `x = n ln 2 + r` with |r| <= ln 2 / 2 and takes a polynomial of degree 6 in r (coefficients: Cephes `expf`).
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let number = |value| Lanes::splat(x.simd, value);
    // In this order a NaN stays a NaN.
    let x = number(88.0).min(number(-87.0).max(x));
    let shifted = x.mul_add(number(std::f32::consts::LOG2_E), number(ROUND));
    let n = shifted - ROUND;
    let r = n.mul_add(number(-LN_2_HIGH), x);
    let r = n.mul_add(number(-LN_2_LOW), r);
    let p = polynomial(r, [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    let p = (p * r).mul_add(r, r) + 1.0;
    p * shifted.power_of_two()
}

/// `c[0] x^(N-1) + .. + c[N-1]`, by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: Lanes<S>, coefficients: [f32; N]) -> Lanes<S> {
    let mut sum = Lanes::splat(x.simd, coefficients[0]);
    for coefficient in coefficients.into_iter().skip(1) {
        sum = sum.mul_add(x, Lanes::splat(x.simd, coefficient));
    }
    sum
}

/// The standard normal distribution's cumulative probability at `x`, and `exp(-x^2 / 2)`.
///
/// ```text
/// Phi(x) = erfc(-x / sqrt 2) / 2,   erfc(z) = t P(t) exp(-z^2),   t = 1 / (1 + 0.42 z)   (z >= 0)
/// ```
/// The form is Abramowitz and Stegun 7.1.26; P has degree 7 and was fitted for the smallest largest relative error of
/// erfc, 4e-8, so that Phi keeps its relative accuracy in the lower tail too.
#[inline(always)]
fn normal_cdf<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let zero = Lanes::splat(x.simd, 0.0);
    let one = Lanes::splat(x.simd, 1.0);
    let z = (zero - x).max(x) * std::f32::consts::FRAC_1_SQRT_2;
    let t = one / z.mul_add(Lanes::splat(x.simd, 0.42), one);
    let coefficients =
        [0.076_004_416, -0.345_052_4, 0.484_961_57, -0.173_068_6, 0.292_421_94, 0.187_104_6, 0.240_897_2, 0.236_731_26];
    let p = polynomial(t, coefficients);
    let density = exp(x * -0.5 * x);
    let tail = t * 0.5 * p * density;
    (x.where_less(zero, tail, one - tail), density)
}

/// `x Phi(x)`: the exact GELU (PyTorch's `nn.GELU()`).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    x * normal_cdf(x).0
}

/// The derivative of [`gelu`]: `Phi(x) + x phi(x)`.
#[inline(always)]
pub(crate) fn gelu_derivative<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
    let (cdf, density) = normal_cdf(x);
    (x * FRAC_1_SQRT_2_PI).mul_add(density, cdf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Cpu, Kernel};

    struct Eval(f32);

    impl Kernel for Eval {
        type Output = [f32; 3];

        #[inline(always)]
        fn call<S: Simd>(self, simd: S) -> [f32; 3] {
            let x = Lanes::splat(simd, self.0);
            [exp(x), gelu(x), gelu_derivative(x)].map(|lanes| lanes.fold(|first, _| first))
        }
    }

    /// erf by its Maclaurin series in f64, good to 1e-13 for |x| <= 4.5.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_and_its_derivative_equal_f64_to_f32_accuracy() {
        for cpu in Cpu::available() {
            for i in -6000..=6000 {
                let x = i as f32 / 1000.0;
                let wide = f64::from(x);
                let cdf = 0.5 * (1.0 + erf(wide * std::f64::consts::FRAC_1_SQRT_2));
                let density = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let [e, g, d] = cpu.run(Eval(x));
                assert!((f64::from(e) / wide.exp() - 1.0).abs() < 3e-7, "exp({x}) = {e}");
                assert!((f64::from(g) - wide * cdf).abs() < 2e-7 * wide.abs().max(1.0), "gelu({x}) = {g}");
                assert!((f64::from(d) - cdf - wide * density).abs() < 5e-7, "gelu'({x}) = {d}");
            }
        }
    }

    #[test]
    fn gelu_of_large_inputs_is_finite_and_exact() {
        for cpu in Cpu::available() {
            assert_eq!(cpu.run(Eval(60.0))[1], 60.0);
            assert!(cpu.run(Eval(-60.0))[1].abs() < 1e-30);
            assert!(cpu.run(Eval(f32::MAX))[1].is_finite());
        }
    }
}
