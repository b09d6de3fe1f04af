//! Draws a posed butterfly: shadow, hindwings, forewings, antennae, body.

use tiny_skia::{Mask, Path, PathBuilder, Stroke};

use super::canvas::{Canvas, SoftMask};
use super::colour::Rgb;
use super::dice::Dice;
use super::light::{Light, Vec3, normalised};
use super::marks::Palette;
use super::noise;
use super::outline::{Nick, Outline};
use super::pattern::Pattern;
use super::pose::{Pose, WingPose};
use super::scalar::{floor, smoothstep};
use super::species::{Abdomen, Body, Species};

/// What sets one individual apart from others of its species.
pub(super) struct Individual {
    palette: Palette,
    /// Missing pieces of margin, by wing.
    nicks: [Vec<Nick>; 4],
    seed: u32,
}

impl Individual {
    pub fn draw(dice: &mut Dice, species: &Species) -> Self {
        let (hue, chroma, lightness) = (dice.spread(0.06), 1.0 + dice.spread(0.14), dice.spread(0.04));
        // A butterfly that has flown for weeks has lost scales: duller, paler, torn.
        let worn = dice.unit().powi(3);
        let mut palette = species.palette.clone();
        for colour in &mut palette.0 {
            *colour = colour.shifted(hue, chroma * (1.0 - 0.35 * worn), lightness + 0.05 * worn);
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

/// Draws the butterfly over `canvas`; `shade` is how dark its shadow on the background is, 0 for none.
pub(super) fn draw(
    canvas: &mut Canvas,
    species: &Species,
    individual: &Individual,
    pose: &Pose,
    light: &Light,
    shade: f32,
) {
    let Ok(size) = u32::try_from(canvas.size) else { return };
    let Some(mut mask) = Mask::new(size, size) else { return };
    let outlines: [Outline; 4] = std::array::from_fn(|i| {
        let design = if pose.wings[i].hind { &species.hind } else { &species.fore };
        Outline::trace(&design.shape, &individual.nicks[i], individual.seed)
    });
    let paths: Vec<Option<Path>> = outlines.iter().map(Outline::path).collect();
    let silhouettes: Vec<(&Path, tiny_skia::Transform)> =
        paths.iter().zip(&pose.wings).filter_map(|(path, wing)| Some((path.as_ref()?, wing.to_px))).collect();

    let away = |height: f32| [0, 1].map(|axis| -light.sun_at[axis] / light.sun_at[2].max(0.3) * height * pose.scale);
    if shade > 0.0 {
        let shadow =
            SoftMask::of(&silhouettes, canvas.size, away(pose.height), (0.5 * pose.height * pose.scale).max(1.0));
        darken(canvas, &shadow, shade, light);
    }
    let fore_shadow =
        SoftMask::of(silhouettes.get(2..).unwrap_or(&[]), canvas.size, away(0.035), (0.030 * pose.scale).max(0.8));

    for ((outline, path), wing) in outlines.iter().zip(&paths).zip(&pose.wings) {
        let Some(path) = path else { continue };
        let shadow = wing.hind.then_some(&fore_shadow);
        draw_wing(canvas, &mut mask, outline, path, wing, species, individual, light, shadow);
    }
    draw_antennae(canvas, &mut mask, &species.body, pose, light);
    draw_body(canvas, &species.body, individual, pose, light);
}

fn darken(canvas: &mut Canvas, shadow: &SoftMask, shade: f32, light: &Light) {
    // In shadow only the sky lights the ground, which tints it.
    let total = light.sun.luminance() + light.sky.luminance();
    let left = light.sky * (1.0 / total);
    let floor = left.mix(Rgb::grey(1.0), 1.0 - shade);
    canvas.under(shadow, |pixel, taken, _, _| pixel.times(Rgb::grey(1.0).mix(floor, taken)));
}

#[expect(clippy::too_many_arguments, reason = "the one place where species, individual, pose and light meet")]
fn draw_wing(
    canvas: &mut Canvas,
    mask: &mut Mask,
    outline: &Outline,
    path: &Path,
    wing: &WingPose,
    species: &Species,
    individual: &Individual,
    light: &Light,
    shadow: Option<&SoftMask>,
) {
    let design = if wing.hind { &species.hind } else { &species.fore };
    let to_px = wing.to_px;
    let pixel = 1.0 / (to_px.sx * to_px.sy - to_px.kx * to_px.ky).abs().sqrt().max(1e-3);
    // Both sides of a butterfly deviate alike, so the dice start alike for left and right.
    let mut dice = Dice::new(u64::from(individual.seed), super::dice::Topic::Individual, u32::from(wing.hind), 1);
    let pattern = Pattern::new(outline, design, &individual.palette, &mut dice, pixel);
    let curl = dice.range(-0.1, 0.7);
    canvas.paint(mask, path, to_px, |x, y| {
        let scale = pattern.at(x, y);
        // The wing arches from hinge to margin, and the membrane between veins is ribbed.
        let arch = curl * (0.5 - scale.rho);
        let rib = 0.30 * scale.across * smoothstep(0.2, 0.7, scale.rho);
        let normal: Vec3 = std::array::from_fn(|i| wing.normal[i] + wing.outward[i] * arch + wing.tailward[i] * rib);
        let normal = normalised(normal);
        let lit = shadow.map_or(1.0, |shadow| {
            let (px, py) = (to_px.sx * x + to_px.kx * y + to_px.tx, to_px.ky * x + to_px.sy * y + to_px.ty);
            1.0 - 0.85 * shadow.at(px, py)
        });
        // Long hairs of the thorax lie over the root of the wing.
        let mut pigment = scale.colour;
        if scale.rho < 0.4 {
            let hair = noise::value(individual.seed, scale.across * 9.0, scale.rho * 11.0);
            pigment = pigment
                .mix(species.body.thorax * (1.0 + 0.3 * hair), 0.75 * smoothstep(0.26, 0.04, scale.rho + 0.12 * hair));
        }
        if let Some(sheen) = species.sheen {
            // Black scales absorb what the mirrors under them would send back.
            let mirrors = smoothstep(0.006, 0.06, pigment.luminance());
            pigment =
                pigment + sheen.colour * (sheen.strength * mirrors * light.gloss(normal, 10) * (0.35 + 0.65 * lit));
        }
        // Towards the hinge the wing dips under the fur of the body.
        let dip = 0.72 + 0.28 * smoothstep(0.02, 0.22, scale.rho);
        let ambient = 0.55 + 0.45 * lit;
        let colour = pigment.times(light.on(normal, lit, 0.55)) * (dip * ambient)
            + light.sun * (0.035 * lit * light.gloss(normal, 6));
        (colour, scale.opacity)
    });
}

fn draw_antennae(canvas: &mut Canvas, mask: &mut Mask, body: &Body, pose: &Pose, light: &Light) {
    let ink = body.thorax.mix(Rgb::hex(0x1A1410), 0.75);
    let colour = ink.times(light.on(pose.axes[2], 1.0, 0.0));
    for (side, [length, spread]) in [-1.0, 1.0].into_iter().zip(pose.antennae) {
        let root = [side * 0.018, -0.185];
        let tip = [side * 0.20 * spread, -0.20 - 0.32 * length];
        let mut builder = PathBuilder::new();
        builder.move_to(root[0], root[1]);
        builder.quad_to(side * 0.07 * spread, -0.40, tip[0], tip[1]);
        let width = (0.012_f32).max(0.8 / pose.scale);
        let stroke = Stroke { width, ..Stroke::default() };
        let line = builder.finish().and_then(|path| path.stroke(&stroke, pose.scale));
        let club =
            tiny_skia::Rect::from_xywh(tip[0] - 0.016, tip[1] - 0.016, 0.032, 0.032).and_then(PathBuilder::from_oval);
        for path in [line, club].into_iter().flatten() {
            canvas.paint(mask, &path, pose.body_to_px, |_, _| (colour, 0.9));
        }
    }
}

/// Half width of the body at `y` along it, wing units: head, thorax, abdomen.
fn half_width(body: &Body, y: f32) -> f32 {
    let oval = |centre: f32, length: f32, width: f32| {
        let t = (y - centre) / length;
        width * (1.0 - t * t).max(0.0).sqrt()
    };
    let head = oval(-0.168, 0.045, 0.70 * body.width);
    let thorax = oval(-0.03, 0.125, body.width);
    let middle = 0.06 + 0.5 * body.length;
    // The abdomen tapers towards its end.
    let taper = 0.86 - 0.22 * ((y - middle) / body.length);
    let abdomen = oval(middle, 0.52 * body.length, 0.80 * body.width * taper);
    head.max(thorax).max(abdomen)
}

fn draw_body(canvas: &mut Canvas, body: &Body, individual: &Individual, pose: &Pose, light: &Light) {
    let to_px = pose.body_to_px;
    let Some(back) = to_px.invert() else { return };
    let corners = [[-0.1, -0.24], [0.1, -0.24], [-0.1, 0.55], [0.1, 0.55]]
        .map(|[x, y]| [to_px.sx * x + to_px.kx * y + to_px.tx, to_px.ky * x + to_px.sy * y + to_px.ty]);
    let clip = |v: f32| v.clamp(0.0, canvas.size as f32) as usize;
    let low = |axis: usize| clip(corners.iter().map(|c| c[axis]).fold(f32::MAX, f32::min));
    let high = |axis: usize| clip(corners.iter().map(|c| c[axis]).fold(f32::MIN, f32::max) + 1.0);
    let pixel = 1.0 / pose.scale;
    for row in low(1)..high(1) {
        for column in low(0)..high(0) {
            let (px, py) = (column as f32 + 0.5, row as f32 + 0.5);
            let (x, y) = (back.sx * px + back.kx * py + back.tx, back.ky * px + back.sy * py + back.ty);
            let fur = noise::value(individual.seed, x * 90.0, y * 34.0);
            let furry = smoothstep(0.16, 0.02, y) * smoothstep(-0.22, -0.12, y);
            let half = half_width(body, y) * (1.0 + 0.16 * fur * furry);
            let cover = ((half - x.abs()) / pixel + 0.5).clamp(0.0, 1.0);
            if half <= 0.0 || cover <= 0.0 {
                continue;
            }
            let around = (x / half).clamp(-1.0, 1.0);
            let slope = (half_width(body, y + 0.01) - half_width(body, y - 0.01)) / 0.02;
            let rise = (1.0 - around * around).sqrt();
            let normal: Vec3 = std::array::from_fn(|i| {
                pose.axes[0][i] * around + pose.axes[2][i] * (rise + 0.15)
                    - pose.axes[1][i] * (0.6 * slope * rise).clamp(-0.8, 0.8)
            });
            let normal = normalised(normal);
            let abdomen = body_colour(body, around, y);
            let thorax = body.thorax * (1.0 + 0.35 * fur);
            let coat = abdomen.mix(thorax, smoothstep(0.11, 0.06, y));
            let coat = coat.mix(body.thorax.mix(Rgb::hex(0x120E0C), 0.5), smoothstep(-0.13, -0.15, y));
            let colour = coat.times(light.on(normal, 1.0, 0.0)) + light.sun * (0.05 * light.gloss(normal, 24));
            let under = &mut canvas.pixels[row * canvas.size + column];
            *under = under.mix(colour, cover);
        }
    }
}

fn body_colour(body: &Body, around: f32, y: f32) -> Rgb {
    let segment = (y - 0.06) / body.length * 7.0;
    let crease = 1.0 - 0.22 * smoothstep(0.25, 0.5, (segment - floor(segment) - 0.5).abs());
    let second = match body.pattern {
        Abdomen::Plain => 0.0,
        Abdomen::Ringed => smoothstep(0.15, 0.3, (segment - floor(segment) - 0.5).abs()),
        Abdomen::Striped => smoothstep(0.36, 0.26, around.abs()),
    };
    body.abdomen.mix(body.second, second) * crease
}
