//! What is behind and in front of the butterfly. Backdrops are drawn at half the picture's resolution
//! and enlarged: they lie outside the plane of focus, and a quarter of the pixels is a quarter of the time.

mod plants;
mod surfaces;

use tiny_skia::Mask;

use super::canvas::Canvas;
use super::color::Rgb;
use super::dice::Dice;
use super::light::Light;
use super::noise;

/// The kinds of places where butterflies are photographed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backdrop {
    Meadow,
    Leaf,
    Flower,
    Bark,
    Stone,
    Sand,
    Sky,
    /// A specimen pinned on paper.
    Paper,
}

impl Backdrop {
    pub fn draw(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..28 => Self::Meadow,
            28..46 => Self::Leaf,
            46..62 => Self::Flower,
            62..71 => Self::Bark,
            71..80 => Self::Stone,
            80..87 => Self::Sand,
            87..93 => Self::Sky,
            _ => Self::Paper,
        }
    }

    /// How dark the butterfly's shadow on it is; 0 where nothing is near enough to receive one.
    pub fn shade(self) -> f32 {
        match self {
            Self::Meadow | Self::Sky => 0.0,
            Self::Flower => 0.55,
            Self::Leaf => 0.75,
            Self::Bark | Self::Stone | Self::Sand => 0.85,
            Self::Paper => 0.7,
        }
    }

    /// The backdrop of a picture `size` pixels wide.
    pub fn paint(self, dice: &mut Dice, light: &Light, size: usize) -> Canvas {
        let mut canvas = Canvas::new(size.div_ceil(2).max(16));
        let side = canvas.size as u32;
        let Some(mut mask) = Mask::new(side, side) else { return Canvas::new(size) };
        match self {
            Self::Meadow => meadow(&mut canvas, &mut mask, dice, light),
            Self::Leaf => plants::leaf(&mut canvas, &mut mask, dice, light),
            Self::Flower => plants::flower(&mut canvas, &mut mask, dice, light),
            Self::Bark => surfaces::bark(&mut canvas, dice, light),
            Self::Stone => surfaces::stone(&mut canvas, dice, light),
            Self::Sand => surfaces::sand(&mut canvas, dice, light),
            Self::Sky => sky(&mut canvas, dice, light),
            Self::Paper => surfaces::paper(&mut canvas, dice, light),
        }
        canvas.enlarged(size)
    }
}

/// Something between the camera and the butterfly: blurred blades of grass or the edge of a leaf.
/// `canvas` is the whole picture.
pub(super) fn obstruct(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    if !dice.chance(0.38) {
        return;
    }
    if dice.chance(0.6) {
        plants::blades_in_front(canvas, dice, light);
    } else {
        plants::leaf_in_front(canvas, dice, light);
    }
}

/// Colors of far vegetation: greens, straw, the violet of heather.
fn distant(dice: &mut Dice) -> Rgb {
    let code =
        dice.pick([0x2E4A20, 0x4A6B2A, 0x6F8A3A, 0x8E9A4E, 0x3A5A3E, 0x9A8A52, 0x5A4A2E, 0x6A5A7A, 0x27402A, 0x7FA050]);
    Rgb::hex(code).shifted(dice.spread(0.15), dice.range(0.7, 1.1), dice.spread(0.05))
}

/// A soft field of two or three colors, as a lens throws far vegetation out of focus.
fn out_of_focus(canvas: &mut Canvas, dice: &mut Dice, light: &Light, colors: [Rgb; 3]) {
    let seed = dice.bits();
    let (turn, frequency) = (dice.range(0.0, std::f32::consts::TAU), dice.range(1.2, 3.2));
    let (sin, cos) = turn.sin_cos();
    let day = light.sun * 0.7 + light.sky * 0.8;
    canvas.cover(|x, y| {
        let slope = 0.5 + 0.8 * ((x - 0.5) * cos + (y - 0.5) * sin);
        let blob = noise::value(seed, x * frequency, y * frequency);
        let fine = noise::value(seed ^ 0x77, x * frequency * 2.3, y * frequency * 2.3);
        let color = colors[0].mix(colors[1], (slope + 0.35 * blob).clamp(0.0, 1.0));
        color.mix(colors[2], (0.6 * fine + 0.1).clamp(0.0, 1.0)).times(day)
    });
}

fn meadow(canvas: &mut Canvas, mask: &mut Mask, dice: &mut Dice, light: &Light) {
    let colors = [distant(dice), distant(dice), distant(dice)];
    out_of_focus(canvas, dice, light, colors);
    let size = canvas.size as f32;
    let stems = dice.below(7);
    for _ in 0..stems {
        let color = distant(dice) * dice.range(0.7, 1.5);
        plants::blade(canvas, mask, dice, color.times(light.sun + light.sky), 0.012, 0.035);
    }
    canvas.blur(dice.range(0.02, 0.05) * size);
    let flowers = [0xF2D040, 0xE87AB0, 0xFFFFFF, 0x9A7AE0, 0xF09040, 0xD8E070, 0xC8E0F0];
    let tint = Rgb::hex(dice.pick(flowers));
    let discs = dice.below(22);
    let radius = dice.range(0.025, 0.075) * size;
    for _ in 0..discs {
        let light_of = if dice.chance(0.4) { tint } else { distant(dice).mix(Rgb::hex(0xF4F4D0), 0.5) };
        let strength = dice.range(0.05, 0.40) * light.sun.luminance().max(0.3);
        canvas.add_disc(dice.unit() * size, dice.unit() * size, radius * dice.range(0.6, 1.3), light_of * strength);
    }
    canvas.blur(0.006 * size);
}

fn sky(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let seed = dice.bits();
    let top = Rgb::hex(dice.pick([0x3E78C0, 0x5A94D8, 0x7AA8D8, 0x8A9AB0])).shifted(dice.spread(0.1), 1.0, 0.0);
    let bottom = Rgb::hex(dice.pick([0xB8D4EC, 0xDCE4E8, 0xF0D8C0, 0xC8DCE8]));
    let cloudy = dice.range(-0.25, 0.45);
    let (turn, scale) = (dice.spread(0.6), dice.range(1.5, 3.0));
    let day = 0.45 + 0.5 * light.sun.luminance();
    canvas.cover(|x, y| {
        let slope = (y + turn * (x - 0.5)).clamp(0.0, 1.0);
        let cloud = noise::fractal(seed, x * scale, y * scale * 1.7, 4) + cloudy;
        let white = (1.6 * cloud).clamp(0.0, 1.0);
        top.mix(bottom, slope).mix(Rgb::gray(0.92), 0.8 * white * white) * day
    });
    canvas.blur(0.012 * canvas.size as f32);
}
