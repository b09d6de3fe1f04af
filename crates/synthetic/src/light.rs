//! Light on the scene: one sun and a sky, seen by a camera that looks along -z.

use super::color::Rgb;
use super::dice::Dice;

/// A direction or a place in the camera's frame: x right, y down, z towards the camera.
pub(super) type Vec3 = [f32; 3];

pub(super) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn normalized(v: Vec3) -> Vec3 {
    let norm = dot(v, v).sqrt().max(1e-6);
    v.map(|c| c / norm)
}

/// Sun and sky.
pub(super) struct Light {
    /// Towards the sun, unit length.
    pub sun_at: Vec3,
    /// Halfway between the sun and the camera: where a mirror would flash.
    half: Vec3,
    pub sun: Rgb,
    pub sky: Rgb,
}

impl Light {
    pub fn draw(dice: &mut Dice) -> Self {
        // Mostly from above, from the low sun of a morning to an overcast noon.
        let (azimuth, height) = (-1.57 + dice.spread(1.7), dice.range(0.45, 1.25));
        let sun_at = normalized([height.cos() * azimuth.cos(), height.cos() * azimuth.sin(), height.sin()]);
        let overcast = if dice.chance(0.3) { dice.range(0.5, 0.9) } else { dice.range(0.0, 0.25) };
        let warmth = dice.range(-0.06, 0.20) * (1.0 - overcast);
        let sun = Rgb::new(1.0 + warmth, 1.0, 1.0 - 1.3 * warmth) * (1.05 * (1.0 - 0.72 * overcast));
        let sky = Rgb::new(0.93 - 0.3 * warmth, 0.98, 1.06 + 0.3 * warmth) * (0.34 + 0.36 * overcast);
        Self { sun_at, half: normalized([sun_at[0], sun_at[1], sun_at[2] + 1.0]), sun, sky }
    }

    /// Light that leaves a white matt surface; `lit` is the share of the sun that reaches it, `through`
    /// the share of light from behind that a thin wing lets through.
    pub fn on(&self, normal: Vec3, lit: f32, through: f32) -> Rgb {
        let facing = dot(normal, self.sun_at);
        let sun = facing.max(0.0) + through * (-facing).max(0.0);
        self.sun * (sun * lit) + self.sky * (0.72 + 0.28 * normal[2])
    }

    /// How nearly a surface mirrors the sun to the camera, 0 to 1.
    pub fn gloss(&self, normal: Vec3, sharpness: i32) -> f32 {
        dot(normal, self.half).max(0.0).powi(sharpness)
    }
}
