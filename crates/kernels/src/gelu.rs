//! The exponential and the exact GELU, without branches, so that loops over them vectorise.

use crate::cpu::Simd;

/// e to the power of `x`, to about one unit in the last place; `x` is clamped to the range whose result is normal.
///
/// Splits `x = n ln 2 + r` with |r| <= ln 2 / 2 and takes a polynomial of degree 6 in r (coefficients: Cephes `expf`).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Written so that a NaN stays a NaN.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = simd.mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = simd.mul_add(n, -LN_2_HIGH, x);
    let r = simd.mul_add(n, -LN_2_LOW, r);
    let p = simd.mul_add(1.987_569_1e-4, r, 1.398_2e-3);
    let p = simd.mul_add(p, r, 8.333_452e-3);
    let p = simd.mul_add(p, r, 4.166_579_6e-2);
    let p = simd.mul_add(p, r, 1.666_666_5e-1);
    let p = simd.mul_add(p, r, 0.5);
    let p = simd.mul_add(p * r, r, r) + 1.0;
    // The low bits of `shifted`, moved into the exponent, are 2^n less the bias.
    let scale = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    p * f32::from_bits(scale)
}

/// The standard normal distribution's cumulative probability at `x`, and `exp(-x^2 / 2)`.
///
/// ```text
/// Phi(x) = erfc(-x / sqrt 2) / 2,   erfc(z) = t P(t) exp(-z^2),   t = 1 / (1 + 0.42 z)   (z >= 0)
/// ```
/// The form is Abramowitz and Stegun 7.1.26; P has degree 7 and was fitted for the smallest largest relative error of
/// erfc, 4e-8, so that Phi keeps its relative accuracy in the lower tail too.
#[inline(always)]
fn normal_cdf<S: Simd>(simd: S, x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / simd.mul_add(0.42, z, 1.0);
    let p = simd.mul_add(0.076_004_416, t, -0.345_052_4);
    let p = simd.mul_add(p, t, 0.484_961_57);
    let p = simd.mul_add(p, t, -0.173_068_6);
    let p = simd.mul_add(p, t, 0.292_421_94);
    let p = simd.mul_add(p, t, 0.187_104_6);
    let p = simd.mul_add(p, t, 0.240_897_2);
    let p = simd.mul_add(p, t, 0.236_731_26);
    let density = exp(simd, -0.5 * x * x);
    let tail = 0.5 * t * p * density;
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

/// `x Phi(x)`: the exact GELU (PyTorch's `nn.GELU()`).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: f32) -> f32 {
    x * normal_cdf(simd, x).0
}

/// The derivative of [`gelu`]: `Phi(x) + x phi(x)`.
#[inline(always)]
pub(crate) fn gelu_derivative<S: Simd>(simd: S, x: f32) -> f32 {
    const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
    let (cdf, density) = normal_cdf(simd, x);
    simd.mul_add(x * FRAC_1_SQRT_2_PI, density, cdf)
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
            [exp(simd, self.0), gelu(simd, self.0), gelu_derivative(simd, self.0)]
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
