//! Bark, stone, sand and paper: height fields lit from the side.

use crate::canvas::Canvas;
use crate::color::Rgb;
use crate::dice::Dice;
use crate::light::{Light, normalized};
use crate::noise;
use crate::scalar::{floor, smoothstep};

/// Lights a height field: `height` and `pigment` at a place in `[0, 1]²`, `relief` how steep it is.
fn relief(
    canvas: &mut Canvas,
    light: &Light,
    relief: f32,
    mut height: impl FnMut(f32, f32) -> f32,
    mut pigment: impl FnMut(f32, f32, f32) -> Rgb,
) {
    let size = canvas.size;
    let step = 1.0 / size as f32;
    // One column and row more, for the differences at the right and lower edge.
    let side = size + 1;
    let heights: Vec<f32> =
        (0..side * side).map(|i| height((i % side) as f32 * step, (i / side) as f32 * step)).collect();
    for y in 0..size {
        for x in 0..size {
            let here = heights[y * side + x];
            let (right, below) = (heights[y * side + x + 1], heights[(y + 1) * side + x]);
            let scale = relief * size as f32;
            let normal = normalized([(here - right) * scale, (here - below) * scale, 1.0]);
            let color = pigment(x as f32 * step, y as f32 * step, here);
            canvas.pixels[y * size + x] = color.times(light.on(normal, 1.0, 0.0));
        }
    }
}

/// Tree bark: long ridges, dark fissures, moss or lichen in places.
pub(super) fn bark(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let seed = dice.bits();
    let wood =
        Rgb::hex(dice.pick([0x6A5240, 0x84705A, 0x54443A, 0x9A8A78, 0x7A5A42])).shifted(0.0, 1.0, dice.spread(0.05));
    let moss = Rgb::hex(dice.pick([0x6A7A3A, 0x9AA890, 0x7A8A5A]));
    let mossy = dice.range(-0.5, 0.15);
    let (sin, cos) = dice.spread(0.5).sin_cos();
    let (fine, long) = (dice.range(7.0, 12.0), dice.range(1.2, 2.6));
    let turned = move |x: f32, y: f32| [x * cos - y * sin, x * sin + y * cos];
    let height = |x: f32, y: f32| {
        let [x, y] = turned(x, y);
        let ridges = noise::fractal(seed, x * fine, y * long, 3);
        // Ridged noise: fissures where the noise crosses zero.
        smoothstep(0.0, 0.35, ridges.abs()) + 0.25 * noise::value(seed ^ 9, x * 40.0, y * 14.0)
    };
    relief(canvas, light, 0.02, height, |x, y, h| {
        let patch = noise::fractal(seed ^ 5, x * 3.0, y * 3.0, 2) + mossy;
        let color = wood * (0.30 + 0.75 * h.clamp(0.0, 1.2));
        color.mix(moss, smoothstep(0.0, 0.3, patch) * 0.7)
    });
    canvas.blur(dice.range(0.0, 0.014) * canvas.size as f32);
}

/// Rock: grain, cracks, rings of lichen.
pub(super) fn stone(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let seed = dice.bits();
    let rock =
        Rgb::hex(dice.pick([0x8A8780, 0xA39C90, 0x6E6C6A, 0xB8AFA0, 0x8A7A6C])).shifted(0.0, 1.0, dice.spread(0.06));
    let lichen = Rgb::hex(dice.pick([0xC8C890, 0xD8A83A, 0xB8C8B0, 0xE0E0D8]));
    let grown = dice.range(-0.45, 0.05);
    let scale = dice.range(3.0, 6.0);
    let height = |x: f32, y: f32| {
        let crack = noise::value(seed ^ 3, x * scale * 0.6, y * scale * 0.6).abs();
        noise::fractal(seed, x * scale, y * scale, 4) + 0.6 * smoothstep(0.0, 0.05, crack)
    };
    relief(canvas, light, 0.045, height, |x, y, h| {
        let grain = noise::at(seed, (x * 400.0) as i32, (y * 400.0) as i32);
        let spot = noise::fractal(seed ^ 11, x * 7.0, y * 7.0, 4) + grown;
        let color = rock * (0.72 + 0.25 * h + 0.10 * grain);
        color.mix(lichen, smoothstep(0.0, 0.35, spot) * (0.55 + 0.25 * grain))
    });
    canvas.blur(dice.range(0.0, 0.012) * canvas.size as f32);
}

/// Sand or soil with pebbles.
pub(super) fn sand(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let seed = dice.bits();
    let soil = Rgb::hex(dice.pick([0xC8A878, 0xA88A62, 0x7A6248, 0xD8C8A0, 0x9A7452])).shifted(
        dice.spread(0.05),
        1.0,
        dice.spread(0.04),
    );
    let scale = dice.range(7.0, 14.0);
    let pebbled = dice.range(0.25, 0.6);
    // Bending the plane hides the square lattice of the noise.
    let pebble = move |x: f32, y: f32| {
        let bend = noise::value(seed ^ 6, x * 5.0, y * 5.0);
        noise::fractal(seed, (0.8 * x + 0.6 * y) * scale + bend, (0.8 * y - 0.6 * x) * scale - bend, 2)
    };
    let height = |x: f32, y: f32| {
        let stones = smoothstep(pebbled, pebbled + 0.35, pebble(x, y));
        let waves = noise::fractal(seed ^ 2, x * 2.5, y * 5.0, 2);
        0.7 * stones + 0.6 * waves + 0.22 * noise::at(seed ^ 1, (x * 260.0) as i32, (y * 260.0) as i32)
    };
    relief(canvas, light, 0.03, height, |x, y, h| {
        let tone = noise::value(seed ^ 7, x * scale, y * scale);
        let stone = smoothstep(pebbled, pebbled + 0.2, pebble(x, y));
        soil.mix(Rgb::gray(soil.luminance()) * (1.0 + 0.5 * tone), 0.75 * stone) * (0.85 + 0.15 * h)
    });
    canvas.blur(dice.range(0.004, 0.016) * canvas.size as f32);
}

/// The bottom of a specimen drawer: paper fibres, now and then ruled or foxed.
pub(super) fn paper(canvas: &mut Canvas, dice: &mut Dice, light: &Light) {
    let seed = dice.bits();
    let sheet = Rgb::hex(dice.pick([0xF1EDE2, 0xE8DEC6, 0xF6F5F0, 0xDCD6CC, 0xE4E0D0]));
    let foxed = dice.range(0.0, 0.25);
    let ruled = dice.chance(0.25);
    let spacing = dice.range(7.0, 11.0);
    let height =
        |x: f32, y: f32| 0.6 * noise::value(seed, x * 70.0, y * 22.0) + noise::value(seed ^ 1, x * 25.0, y * 60.0);
    relief(canvas, light, 0.0012, height, |x, y, _| {
        let fox = smoothstep(0.35, 0.8, noise::fractal(seed ^ 4, x * 4.0, y * 4.0, 2)) * foxed;
        let place = y * spacing;
        let line = if ruled { smoothstep(0.47, 0.5, (place - floor(place) - 0.5).abs()) * 0.25 } else { 0.0 };
        (sheet * 0.80).mix(Rgb::hex(0xB08A58), fox).mix(Rgb::hex(0x8AA0B8), line)
    });
}
