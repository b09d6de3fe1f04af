//! Leaves, flowers and grass, in front of and behind the butterfly.

use std::f32::consts::{PI, TAU};

use tiny_skia::{Mask, Path, PathBuilder, Transform};

use super::{distant, out_of_focus};
use crate::canvas::{Canvas, SoftMask};
use crate::color::Rgb;
use crate::dice::Dice;
use crate::light::Light;
use crate::noise;
use crate::scalar::{floor, smoothstep};

/// The place of a plant part: `length` along its own x axis and `width` across, turned by `angle`.
fn placed(at: [f32; 2], angle: f32, length: f32, width: f32) -> Transform {
    let (sin, cos) = angle.sin_cos();
    Transform::from_row(length * cos, length * sin, -width * sin, width * cos, at[0], at[1])
}

/// The outline of a leaf or petal from (0, 0) to (1, 0), half width about 1, widest at `belly`.
fn blade_outline(belly: f32, blunt: f32) -> Option<Path> {
    const STEPS: usize = 24;
    let half = |t: f32| {
        let warped = t.powf(0.5_f32.ln() / belly.ln());
        (PI * warped).sin().max(0.0).powf(blunt)
    };
    let mut builder = PathBuilder::new();
    builder.move_to(0.0, 0.0);
    for i in 1..=STEPS {
        let t = i as f32 / STEPS as f32;
        builder.line_to(t, half(t));
    }
    for i in (1..STEPS).rev() {
        let t = i as f32 / STEPS as f32;
        builder.line_to(t, -half(t));
    }
    builder.close();
    builder.finish()
}

/// A leaf seen close: midrib, side veins, a blade that bulges between them.
struct LeafSurface {
    color: Rgb,
    vein: Rgb,
    ribs: f32,
    lean: f32,
    /// Light on the two halves of the blade, which meet at an angle.
    halves: [f32; 2],
    seed: u32,
}

impl LeafSurface {
    fn draw(dice: &mut Dice) -> Self {
        let code = dice.pick([0x3E6B22, 0x4F7F2C, 0x6A9A38, 0x2F5A2A, 0x7FA84A, 0x58803A, 0x8A9A3A]);
        let color = Rgb::hex(code).shifted(dice.spread(0.15), dice.range(0.75, 1.1), dice.spread(0.05));
        let autumn = dice.chance(0.12);
        let color = if autumn { Rgb::hex(dice.pick([0xB8862E, 0xA8542A, 0xC8A84A])) } else { color };
        Self {
            color,
            vein: color.mix(Rgb::hex(0xD8E0A0), 0.45),
            ribs: dice.range(7.0, 11.0),
            lean: dice.range(0.25, 0.6),
            halves: [dice.range(0.75, 1.05), dice.range(0.9, 1.2)],
            seed: dice.bits(),
        }
    }

    fn at(&self, t: f32, side: f32) -> Rgb {
        let place = (t - self.lean * 0.35 * side.abs()) * self.ribs;
        let local = (place - floor(place) - 0.5).abs();
        let blotch = noise::fractal(self.seed, t * 7.0, side * 3.0, 2);
        let bulge = 1.0 + 0.16 * (0.5 - 2.0 * local) + 0.14 * blotch;
        let half = self.halves[usize::from(side > 0.0)];
        let rib = smoothstep(0.43, 0.5, local) * 0.6 * (1.0 - 0.5 * side.abs());
        let midrib = smoothstep(0.075, 0.035, side.abs() / (1.2 - t).max(0.2));
        (self.color * (bulge * half)).mix(self.vein, rib.max(midrib))
    }
}

/// One big leaf under the butterfly.
pub(super) fn leaf(canvas: &mut Canvas, mask: &mut Mask, dice: &mut Dice, light: &Light) {
    let dark = [distant(dice) * 0.5, distant(dice) * 0.35, distant(dice) * 0.6];
    out_of_focus(canvas, dice, light, dark);
    let size = canvas.size as f32;
    let day = light.on([0.0, 0.0, 1.0], 1.0, 0.0);
    let leaves = 1 + dice.below(3);
    for i in 0..leaves {
        let last = i + 1 == leaves;
        let surface = LeafSurface::draw(dice);
        let angle = dice.range(0.0, TAU);
        let (length, width) = (dice.range(1.3, 2.0) * size, dice.range(0.42, 0.7) * size);
        let reach = if last { 0.1 } else { 0.5 };
        let middle = [0.5 + dice.spread(reach), 0.5 + dice.spread(reach)].map(|v| v * size);
        let root = [middle[0] - 0.45 * length * angle.cos(), middle[1] - 0.45 * length * angle.sin()];
        let Some(path) = blade_outline(dice.range(0.36, 0.5), 0.9) else { return };
        let depth = if last { 1.0 } else { 0.55 };
        canvas.paint(mask, &path, placed(root, angle, length, width), |t, side| {
            (surface.at(t, side).times(day) * depth, 1.0)
        });
        canvas.blur(if last { 0.008 } else { 0.025 } * size);
    }
}

/// A flower head, or a cluster of small ones, seen from above.
pub(super) fn flower(canvas: &mut Canvas, mask: &mut Mask, dice: &mut Dice, light: &Light) {
    let around = [distant(dice) * 0.7, distant(dice) * 0.5, distant(dice)];
    out_of_focus(canvas, dice, light, around);
    let size = canvas.size as f32;
    for _ in 0..dice.below(4) {
        let color = distant(dice) * 0.9;
        blade(canvas, mask, dice, color.times(light.sun + light.sky), 0.02, 0.05);
    }
    canvas.blur(0.03 * size);
    let code = dice.pick([0xF4F0EA, 0xF0C82A, 0xD86AA8, 0x8A5AC8, 0xE87A3A, 0xB03A6A, 0xE8A8C8, 0x6A7AD8, 0xF4E48A]);
    let petal = Rgb::hex(code).shifted(dice.spread(0.1), 1.0, dice.spread(0.04));
    let heart = Rgb::hex(dice.pick([0xE0A020, 0x6A4A1E, 0xC8C83A, 0x8A5A20]));
    let clusters = dice.chance(0.5);
    let heads = if clusters { 14 + dice.below(14) } else { 1 };
    let spread = if clusters { dice.range(0.22, 0.36) } else { 0.10 };
    let radius = if clusters { dice.range(0.09, 0.15) } else { dice.range(0.45, 0.65) };
    let petals = if clusters { dice.pick([4, 5, 5, 6]) } else { dice.pick([5, 8, 12, 16, 21]) };
    let plump = if clusters || petals < 9 { 0.55 } else { 4.0 / petals as f32 };
    let Some(path) = blade_outline(0.66, 0.7) else { return };
    for head in 0..heads {
        // Heads of a cluster fill a disc evenly: the sunflower's spiral.
        let (away, turn) = (spread * (head as f32 / heads as f32).sqrt() * 1.4, 2.4 * head as f32);
        let middle = [0.5 + away * turn.cos() + dice.spread(0.03), 0.5 + away * turn.sin() + dice.spread(0.03)]
            .map(|v| v * size);
        let start = dice.range(0.0, TAU);
        let radius = radius * size * dice.range(0.85, 1.15);
        let shade = dice.range(0.78, 1.08);
        let seed = dice.bits();
        for i in 0..petals {
            let angle = start + TAU * i as f32 / petals as f32 + dice.spread(0.10);
            let facing = light.on([0.35 * angle.cos(), 0.35 * angle.sin(), 0.94], 1.0, 0.4);
            let length = radius * dice.range(0.92, 1.05);
            canvas.paint(mask, &path, placed(middle, angle, length, plump * 0.5 * radius), |t, side| {
                let streak = noise::value(seed ^ i, t * 2.0, side * 5.0);
                let depth = 0.55 + 0.5 * smoothstep(0.05, 0.6, t) - 0.18 * side * side + 0.10 * streak;
                (petal.mix(petal * 0.6, 1.0 - t).times(facing) * (depth * shade), 1.0)
            });
        }
        let Some(disc) = PathBuilder::from_circle(0.0, 0.0, 1.0) else { return };
        let share = if clusters { 0.2 } else { 0.27 };
        canvas.paint(mask, &disc, placed(middle, start, share * radius, share * radius), |x, y| {
            let dot = noise::value(seed, x * 8.0, y * 8.0);
            let normal = [x * 0.6, y * 0.6, 0.8];
            (heart.times(light.on(normal, 1.0, 0.0)) * (1.0 + 0.4 * dot), 1.0)
        });
    }
    canvas.blur(dice.range(0.006, 0.016) * size);
}

/// A blade of grass across the picture, `thin` to `thick` shares of it wide.
pub(super) fn blade(canvas: &mut Canvas, mask: &mut Mask, dice: &mut Dice, light: Rgb, thin: f32, thick: f32) {
    if let Some(path) = blade_path(canvas.size as f32, dice, [thin, thick]) {
        canvas.paint(mask, &path, Transform::identity(), |_, _| (light, 1.0));
    }
}

/// Grass grows upwards: from the lower edge to a point that may lie above the upper one.
fn blade_path(size: f32, dice: &mut Dice, widths: [f32; 2]) -> Option<Path> {
    let (from, to) = (dice.range(-0.1, 1.1) * size, dice.range(-0.1, 1.1) * size);
    let (bend, width) = (dice.spread(0.35) * size, dice.range(widths[0], widths[1]) * size);
    let rise = dice.range(0.4, 1.15) * size;
    let (root, tip) = ([from, 1.03 * size], [to, size - rise]);
    let middle = [0.5 * (root[0] + tip[0]) + bend, 0.5 * (root[1] + tip[1])];
    let mut builder = PathBuilder::new();
    builder.move_to(root[0] - width, root[1]);
    builder.quad_to(middle[0] - 0.8 * width, middle[1], tip[0], tip[1]);
    builder.quad_to(middle[0] + 0.8 * width, middle[1], root[0] + width, root[1]);
    builder.close();
    builder.finish()
}

/// One to three blurred blades before the butterfly.
pub(super) fn blades_in_front(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let size = canvas.size as f32;
    for _ in 0..1 + dice.below(3) {
        let color = distant(dice).times(light.on([0.3, 0.0, 0.9], 1.0, 0.5)) * dice.range(0.9, 1.6);
        let sigma = dice.range(0.006, 0.022) * size;
        if let Some(path) = blade_path(size, dice, [0.008, 0.022]) {
            let cover = SoftMask::of(&[(&path, Transform::identity())], canvas.size, [0.0, 0.0], sigma);
            canvas.under(&cover, |pixel, share, _, y| pixel.mix(color * (1.1 - 0.3 * y / size), share));
        }
    }
}

/// The blurred tip of a leaf that reaches in from an edge.
pub(super) fn leaf_in_front(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let size = canvas.size as f32;
    let inwards = dice.range(0.0, TAU);
    // The root lies outside the picture, the tip a quarter to a half of the way in.
    let root = [0.5 - 0.85 * inwards.cos(), 0.5 - 0.85 * inwards.sin()].map(|v| v * size);
    let (length, width) = (dice.range(0.5, 0.78) * size, dice.range(0.08, 0.18) * size);
    let surface = LeafSurface::draw(dice);
    let to_px = placed(root, inwards + dice.spread(0.5), length, width);
    let (Some(path), Some(back)) = (blade_outline(dice.range(0.36, 0.5), 0.9), to_px.invert()) else { return };
    let day = light.on([0.0, 0.0, 1.0], 1.0, 0.0) * dice.range(0.7, 1.1);
    let cover = SoftMask::of(&[(&path, to_px)], canvas.size, [0.0, 0.0], dice.range(0.006, 0.02) * size);
    canvas.under(&cover, |pixel, share, x, y| {
        let (t, side) = (back.sx * x + back.kx * y + back.tx, back.ky * x + back.sy * y + back.ty);
        pixel.mix(surface.at(t, side).times(day), share)
    });
}
