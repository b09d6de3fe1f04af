//! The camera: lens, exposure, tone curve, sensor noise. Takes linear light to 8-bit sRGB.

use std::fmt::{self, Display, Formatter};
use std::sync::LazyLock;

use super::canvas::Canvas;
use super::color::{Rgb, encode_srgb};
use super::dice::Dice;
use super::noise;

/// What a set's pictures were taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Film {
    /// Colors as the eye sees them.
    #[default]
    Positive,
    /// Every color's complement, as on a strip of negatives: nothing is lost, yet a backbone that knows positives alone
    /// finds its way less well. A stand-in for the gap between what a backbone was trained on and a user's own images.
    Negative,
}

impl Film {
    fn print(self, byte: u8) -> u8 {
        match self {
            Film::Positive => byte,
            Film::Negative => u8::MAX - byte,
        }
    }
}

impl Display for Film {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Film::Positive => "positives",
            Film::Negative => "negatives",
        })
    }
}

/// One camera's settings for one picture.
pub(super) struct Camera {
    exposure: Rgb,
    /// Standard deviation of the lens blur, share of the picture's width.
    blur: f32,
    vignette: f32,
    /// Stray light that lifts the blacks.
    veil: f32,
    contrast: f32,
    noise: f32,
    seed: u32,
}

impl Camera {
    pub fn draw(dice: &mut Dice) -> Self {
        let stops = dice.spread(0.65);
        // A white balance that missed a little, between tungsten and shade.
        let (warm, tint) = (dice.spread(0.10), dice.spread(0.03));
        Self {
            exposure: Rgb::new(1.0 + warm, 1.0 + tint, 1.0 - warm) * (0.95 * stops.exp2()),
            blur: if dice.chance(0.18) { dice.range(0.005, 0.012) } else { dice.range(0.001, 0.004) },
            vignette: dice.range(0.0, 0.35),
            veil: dice.unit().powi(3) * 0.04,
            contrast: dice.range(0.85, 1.2),
            noise: 0.003 + 0.018 * dice.unit().powi(3),
            seed: dice.bits(),
        }
    }

    /// Develops the picture on `film`: `size * size * 3` bytes, rows from the top, RGB.
    pub fn develop(&self, canvas: &mut Canvas, film: Film) -> Vec<u8> {
        let size = canvas.size;
        canvas.blur((self.blur * size as f32).max(0.35));
        let tone = Tone::new(self.contrast);
        let tint = Rgb::new(0.5, -0.2, -0.5);
        let mut bytes = vec![0; size * size * 3];
        let step = 1.0 / size as f32;
        for (y, (row, out)) in canvas.pixels.chunks_exact(size).zip(bytes.chunks_exact_mut(3 * size)).enumerate() {
            let v = y as f32 * step - 0.5;
            for (x, (light, out)) in row.iter().zip(out.chunks_exact_mut(3)).enumerate() {
                let u = x as f32 * step - 0.5;
                let fall = 1.0 - self.vignette * 2.0 * (u * u + v * v);
                let exposed = light.times(self.exposure) * fall + Rgb::gray(self.veil);
                let [grain, chroma] = noise::gaussians(self.seed, x as i32, y as i32);
                // Photon noise grows with the square root of the light.
                let strength = self.noise * (exposed.luminance().max(0.0) + 0.002).sqrt();
                let noisy = exposed + (Rgb::gray(grain) + tint * chroma) * strength;
                for (byte, value) in out.iter_mut().zip(noisy.channels()) {
                    *byte = film.print(tone.develop(value));
                }
            }
        }
        bytes
    }
}

/// A film-like curve, tabulated for one picture: contrast in the middle, a shoulder that rolls
/// highlights off, the sRGB transfer.
struct Tone([u8; Self::STEPS]);

impl Tone {
    const STEPS: usize = 4096;
    /// The brightest light that is still told apart.
    const WHITE: f32 = 1.5;
    /// Middle gray, which contrast leaves alone.
    const GRAY: f32 = 0.18;

    fn new(contrast: f32) -> Self {
        Self(std::array::from_fn(|i| {
            let light = (i as f32 + 0.5) * Self::WHITE / Self::STEPS as f32;
            // A rational stand-in for (light / gray)^contrast near gray.
            let ratio = light / Self::GRAY;
            let pushed = light * (1.0 + (contrast - 1.0) * (ratio - 1.0) / (ratio + 1.0));
            let shouldered = pushed * (1.0 + pushed * 0.16) / (1.0 + 0.55 * pushed * pushed).sqrt();
            ENCODE[((shouldered * 0.92 * 4096.0) as usize).min(4095)]
        }))
    }

    fn develop(&self, light: f32) -> u8 {
        // Noise can make light negative.
        let step = (light * (Self::STEPS as f32 / Self::WHITE)) as i32;
        self.0[step.clamp(0, Self::STEPS as i32 - 1) as usize]
    }
}

/// Linear light in 4096 steps to an sRGB byte.
static ENCODE: LazyLock<[u8; 4096]> =
    LazyLock::new(|| std::array::from_fn(|i| (encode_srgb((i as f32 + 0.5) / 4096.0) * 255.0 + 0.5) as u8));
