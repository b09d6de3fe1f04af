//! Colors in linear light. Light adds and scales linearly only there; pigments are shifted in Oklab,
//! where a step of hue or lightness looks alike for every color.

use std::ops::{Add, Mul};

/// Linear-light sRGB primaries, 1 = white. Values above 1 are highlights that the camera clips.
/// The fourth lane is padding that lets the compiler use vector registers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rgb([f32; 4]);

impl Rgb {
    pub const BLACK: Rgb = Rgb([0.0; 4]);

    pub const fn new(red: f32, green: f32, blue: f32) -> Self {
        Self([red, green, blue, 0.0])
    }

    /// Red, green, blue.
    pub fn channels(self) -> [f32; 3] {
        let [r, g, b, _] = self.0;
        [r, g, b]
    }

    /// An sRGB color written as `0xRRGGBB`.
    pub fn hex(code: u32) -> Self {
        let [r, g, b] = [16, 8, 0].map(|shift| decode_srgb(((code >> shift) & 0xFF) as f32 / 255.0));
        Self::new(r, g, b)
    }

    pub fn gray(value: f32) -> Self {
        Self([value; 4])
    }

    /// `self` at 0, `other` at 1.
    pub fn mix(self, other: Self, t: f32) -> Self {
        self + (other + self * -1.0) * t
    }

    /// Channel by channel: light of one color on a surface of another.
    pub fn times(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a * e, b * f, c * g, d * h])
    }

    /// Relative luminance.
    pub fn luminance(self) -> f32 {
        0.2126 * self.0[0] + 0.7152 * self.0[1] + 0.0722 * self.0[2]
    }

    /// Turns the hue by `hue` radians, scales the chroma and adds to the perceptual lightness (0 to 1).
    pub fn shifted(self, hue: f32, chroma: f32, lightness: f32) -> Self {
        let [l, a, b] = self.to_oklab();
        let (sin, cos) = hue.sin_cos();
        let l = (l + lightness).clamp(0.03, 1.0);
        Self::from_oklab([l, (a * cos - b * sin) * chroma, (a * sin + b * cos) * chroma])
    }

    /// Distance in Oklab: about 0.02 is just noticeable, 0.3 is another color.
    #[cfg(test)]
    pub fn difference(self, other: Self) -> f32 {
        let (p, q) = (self.to_oklab(), other.to_oklab());
        p.iter().zip(q).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()
    }

    // Björn Ottosson, "A perceptual color space for image processing" (2020).
    fn to_oklab(self) -> [f32; 3] {
        let [r, g, b] = self.channels();
        let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        [
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        ]
    }

    fn from_oklab([l, a, b]: [f32; 3]) -> Self {
        let p = (l + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
        let q = (l - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
        let r = (l - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
        Self::new(
            (4.076_741_7 * p - 3.307_711_6 * q + 0.230_969_94 * r).clamp(0.0, 1.0),
            (-1.268_438 * p + 2.609_757_4 * q - 0.341_319_38 * r).clamp(0.0, 1.0),
            (-0.004_196_086_3 * p - 0.703_418_6 * q + 1.707_614_7 * r).clamp(0.0, 1.0),
        )
    }
}

impl Add for Rgb {
    type Output = Rgb;
    fn add(self, other: Rgb) -> Rgb {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Rgb([a + e, b + f, c + g, d + h])
    }
}

impl Mul<f32> for Rgb {
    type Output = Rgb;
    fn mul(self, scale: f32) -> Rgb {
        let [a, b, c, d] = self.0;
        Rgb([a * scale, b * scale, c * scale, d * scale])
    }
}

/// sRGB signal (0 to 1) to linear light.
pub(super) fn decode_srgb(v: f32) -> f32 {
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Linear light (0 to 1) to sRGB signal.
pub(super) fn encode_srgb(v: f32) -> f32 {
    if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unshifted_color_stays_itself() {
        for code in [0x000000, 0xFFFFFF, 0xD8431F, 0x1F6FD6, 0x6B4A30] {
            let (color, back) = (Rgb::hex(code), Rgb::hex(code).shifted(0.0, 1.0, 0.0));
            if code != 0 {
                assert!(color.difference(back) < 2e-3, "{code:06x}: {color:?} became {back:?}");
            }
        }
    }

    #[test]
    fn srgb_transfer_inverts() {
        for i in 0..=255 {
            let v = i as f32 / 255.0;
            assert!((encode_srgb(decode_srgb(v)) - v).abs() < 1e-5);
        }
    }
}
