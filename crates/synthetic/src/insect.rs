//! Draws a posed butterfly: its shadow, then hindwings, forewings, antennae and body over one another.

use tiny_skia::{Mask, Path, Transform};

use super::canvas::{Canvas, SoftMask};
use super::color::Rgb;
use super::dice::{Dice, Topic};
use super::light::{Light, Vec3, normalized};
use super::marks::Palette;
use super::noise;
use super::outline::{Nick, Outline};
use super::pattern::Pattern;
use super::pose::{Pose, WingPose};
use super::scalar::smoothstep;
use super::species::{Species, WingDesign};

/// What sets one individual apart from others of its species.
pub(super) struct Individual {
    palette: Palette,
    /// Missing pieces of margin, by wing.
    nicks: [Vec<Nick>; 4],
    pub seed: u32,
}

impl Individual {
    pub fn draw(dice: &mut Dice, species: &Species) -> Self {
        let (hue, chroma, lightness) = (dice.spread(0.06), 1.0 + dice.spread(0.14), dice.spread(0.04));
        // A butterfly that has flown for weeks has lost scales: duller, paler, torn.
        let worn = dice.unit().powi(3);
        let mut palette = species.palette.clone();
        for color in &mut palette.0 {
            *color = color.shifted(hue, chroma * (1.0 - 0.35 * worn), lightness + 0.05 * worn);
        }
        let nicks = std::array::from_fn(|_| {
            let torn = dice.chance(0.10 + 0.5 * worn);
            let nick =
                Nick { phi: dice.range(0.1, 0.95), depth: dice.range(0.04, 0.22), width: dice.range(0.03, 0.09) };
            if torn { vec![nick] } else { Vec::new() }
        });
        Self { palette, nicks, seed: dice.bits() }
    }
}

/// One butterfly before the camera: everything that its drawing depends on.
pub(super) struct Butterfly<'a> {
    pub species: &'a Species,
    pub individual: &'a Individual,
    pub pose: &'a Pose,
    pub light: &'a Light,
}

/// A wing with its outline, ready to be filled.
struct Wing<'a> {
    outline: &'a Outline,
    path: &'a Path,
    pose: &'a WingPose,
}

impl Butterfly<'_> {
    /// Draws it over `canvas`; `shade` is how dark its shadow on the background is, 0 for none.
    pub fn draw(&self, canvas: &mut Canvas, shade: f32) {
        let size = canvas.size;
        let Some(mut mask) = u32::try_from(size).ok().and_then(|side| Mask::new(side, side)) else { return };
        let poses = &self.pose.wings;
        let outlines: [Outline; 4] = std::array::from_fn(|i| {
            let nicks = &self.individual.nicks[i];
            Outline::trace(&self.design(&poses[i]).shape, nicks, self.individual.seed)
        });
        let paths: [Option<Path>; 4] = std::array::from_fn(|i| outlines[i].path());
        let wings: Vec<Wing> = outlines
            .iter()
            .zip(&paths)
            .zip(poses)
            .filter_map(|((outline, path), pose)| Some(Wing { outline, path: path.as_ref()?, pose }))
            .collect();

        if shade > 0.0 {
            let height = self.pose.height;
            let shadow = self.shadow(&wings, size, height, (0.5 * height * self.pose.scale).max(1.0));
            self.darken(canvas, &shadow, shade);
        }
        let fore_wings = wings.iter().filter(|wing| !wing.pose.hind);
        let on_hind_wings = self.shadow(fore_wings, size, 0.035, (0.030 * self.pose.scale).max(0.8));
        for wing in &wings {
            self.draw_wing(canvas, &mut mask, wing, wing.pose.hind.then_some(&on_hind_wings));
        }
        self.draw_antennae(canvas, &mut mask);
        self.draw_body(canvas, &mut mask);
    }

    fn design(&self, wing: &WingPose) -> &WingDesign {
        if wing.hind { &self.species.hind } else { &self.species.fore }
    }

    /// The shadow of wings on what lies `height` wing units below them, blurred by `sigma` pixels.
    fn shadow<'w>(
        &self,
        wings: impl IntoIterator<Item = &'w Wing<'w>>,
        size: usize,
        height: f32,
        sigma: f32,
    ) -> SoftMask {
        let silhouettes: Vec<(&Path, Transform)> = wings.into_iter().map(|wing| (wing.path, wing.pose.to_px)).collect();
        let sun = self.light.sun_at;
        let away = [0, 1].map(|axis| -sun[axis] / sun[2].max(0.3) * height * self.pose.scale);
        SoftMask::of(&silhouettes, size, away, sigma)
    }

    fn darken(&self, canvas: &mut Canvas, shadow: &SoftMask, shade: f32) {
        // In shadow only the sky lights the ground, which tints it.
        let total = self.light.sun.luminance() + self.light.sky.luminance();
        let left = self.light.sky * (1.0 / total);
        let floor = left.mix(Rgb::gray(1.0), 1.0 - shade);
        canvas.under(shadow, |pixel, taken, _, _| pixel.times(Rgb::gray(1.0).mix(floor, taken)));
    }

    fn draw_wing(&self, canvas: &mut Canvas, mask: &mut Mask, wing: &Wing, shadow: Option<&SoftMask>) {
        let Self { species, individual, light, .. } = self;
        let Wing { outline, path, pose } = wing;
        let to_px = pose.to_px;
        let pixel = 1.0 / (to_px.sx * to_px.sy - to_px.kx * to_px.ky).abs().sqrt().max(1e-3);
        // Both sides of a butterfly deviate alike, so the dice start alike for left and right.
        let mut dice = Dice::new(u64::from(individual.seed), Topic::Individual, u32::from(pose.hind), 1);
        let pattern = Pattern::new(outline, self.design(pose), &individual.palette, &mut dice, pixel);
        let curl = dice.range(-0.1, 0.7);
        canvas.paint(mask, path, to_px, |x, y| {
            let scale = pattern.at(x, y);
            // The wing arches from hinge to margin, and the membrane between veins is ribbed.
            let arch = curl * (0.5 - scale.rho);
            let rib = 0.30 * scale.across * smoothstep(0.2, 0.7, scale.rho);
            let normal: Vec3 =
                std::array::from_fn(|i| pose.normal[i] + pose.outward[i] * arch + pose.tailward[i] * rib);
            let normal = normalized(normal);
            let lit = shadow.map_or(1.0, |shadow| {
                let (px, py) = (to_px.sx * x + to_px.kx * y + to_px.tx, to_px.ky * x + to_px.sy * y + to_px.ty);
                1.0 - 0.85 * shadow.at(px, py)
            });
            let mut pigment = scale.color;
            if scale.rho < 0.4 {
                // Long hairs of the thorax lie over the root of the wing.
                let hair = noise::value(individual.seed, scale.across * 9.0, scale.rho * 11.0);
                let cover = 0.75 * smoothstep(0.26, 0.04, scale.rho + 0.12 * hair);
                pigment = pigment.mix(species.body.thorax * (1.0 + 0.3 * hair), cover);
            }
            if let Some(sheen) = species.sheen {
                // Black scales absorb what the mirrors under them would send back.
                let mirrors = smoothstep(0.006, 0.06, pigment.luminance());
                let strength = sheen.strength * mirrors * light.gloss(normal, 10) * (0.35 + 0.65 * lit);
                pigment = pigment + sheen.color * strength;
            }
            // Towards the hinge the wing dips under the fur of the body.
            let dip = 0.72 + 0.28 * smoothstep(0.02, 0.22, scale.rho);
            let ambient = 0.55 + 0.45 * lit;
            let gloss = light.sun * (0.035 * lit * light.gloss(normal, 6));
            let color = pigment.times(light.on(normal, lit, 0.55)) * (dip * ambient) + gloss;
            (color, scale.opacity)
        });
    }
}
