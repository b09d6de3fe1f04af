//! The archetypes that genera are drawn from, one function each: a wing shape, a ground plan of marks
//! and a few palettes, loosely after real groups. `dice` belongs to the genus and `traits` to the
//! species, so the number of draws must not depend on the traits: sisters share every draw.

mod danaine;
mod exotic;
mod nymphalid;
mod papilionid;
mod pierid;
mod satyrine;

use super::color::Rgb;
use super::dice::Dice;
use super::marks::{Ink, Mark, Palette};
use super::outline::WingShape;
use super::species::{Abdomen, Body, Species, Traits, WingDesign};

/// One genus's archetype, filled in for one species.
pub(super) fn draw(dice: &mut Dice, traits: Traits) -> Species {
    const ARCHETYPES: [fn(&mut Dice, Traits) -> Species; 16] = [
        papilionid::swallowtail,
        papilionid::kite,
        papilionid::apollo,
        papilionid::birdwing,
        pierid::white,
        pierid::orange_tip,
        danaine::monarch,
        danaine::longwing,
        danaine::glasswing,
        nymphalid::admiral,
        nymphalid::fritillary,
        nymphalid::comma,
        nymphalid::peacock,
        satyrine::ringlet,
        exotic::blue,
        exotic::morpho,
    ];
    let archetype = ARCHETYPES[dice.below(ARCHETYPES.len() as u32) as usize];
    archetype(dice, traits)
}

/// One palette of an archetype, sRGB: ground, flush, dark, light, spark, and the three accents that
/// sister species choose from.
type Swatch = [u32; 8];

/// Draws a palette: one of the swatches, its hues turned and its strength changed for the genus.
fn palette<const N: usize>(dice: &mut Dice, swatches: [Swatch; N], traits: Traits) -> Palette {
    let swatch = dice.pick(swatches);
    // Three genera in ten stray far from the textbook colors, or the world would be known too soon.
    let far = dice.chance(0.3);
    let hue = dice.spread(if far { 0.9 } else { 0.18 });
    let (chroma, lightness) = (dice.range(0.8, 1.15), dice.spread(0.06));
    let tinted = |code: u32| Rgb::hex(code).shifted(hue, chroma, lightness);
    let accent = Rgb::hex(swatch[5 + usize::from(traits.accent)]).shifted(0.5 * hue, chroma, 0.0);
    Palette([tinted(swatch[0]), tinted(swatch[1]), Rgb::hex(swatch[2]), Rgb::hex(swatch[3]), accent, tinted(swatch[4])])
}

/// A small change of every length of a shape, for the genus.
fn varied(dice: &mut Dice, mut shape: WingShape) -> WingShape {
    let size = 1.0 + dice.spread(0.08);
    // A margin that falls off or swells towards the rear makes wings slender or broad.
    let (slope, hollow) = (dice.spread(0.10), dice.spread(0.07));
    for (i, radius) in shape.margin.iter_mut().enumerate() {
        let along = i as f32 / 4.0 - 0.5;
        *radius *= size * (1.0 + slope * along + hollow * (4.0 * along * along - 0.5) + dice.spread(0.03));
    }
    for angle in &mut shape.angles {
        *angle += dice.spread(0.09);
    }
    shape.bulge[0] += dice.range(-0.015, 0.04);
    shape.roundness = (shape.roundness as f32 * dice.range(0.6, 1.6)) as usize;
    shape
}

fn shape(angles: [f32; 2], margin: [f32; 5], roundness: usize, cells: usize) -> WingShape {
    WingShape { angles, margin, bulge: [0.05, 0.04], roundness, cells, scallop: 0.0, ragged: 0.0, tails: Vec::new() }
}

/// A broad forewing with a blunt tip.
fn fore_broad() -> WingShape {
    shape([0.76, -0.30], [0.98, 0.92, 0.86, 0.80, 0.74], 14, 8)
}

/// A triangular forewing with a straight margin.
fn fore_pointed() -> WingShape {
    shape([0.74, -0.26], [1.04, 0.90, 0.80, 0.75, 0.72], 6, 8)
}

/// A forewing with a hollow margin below the tip.
fn fore_hooked() -> WingShape {
    shape([0.72, -0.28], [1.04, 0.87, 0.76, 0.74, 0.74], 4, 8)
}

/// A long narrow forewing.
fn fore_long() -> WingShape {
    shape([0.56, -0.24], [1.12, 1.03, 0.88, 0.72, 0.60], 16, 8)
}

fn hind_round() -> WingShape {
    shape([0.56, -1.32], [0.60, 0.70, 0.75, 0.73, 0.66], 16, 8)
}

/// A hindwing drawn out towards the rear, as of swallowtails.
fn hind_drawn_out() -> WingShape {
    shape([0.52, -1.36], [0.54, 0.62, 0.73, 0.82, 0.74], 9, 8)
}

fn wing(shape: WingShape, ground: [Ink; 2], marks: Vec<Mark>) -> WingDesign {
    WingDesign { shape, ground, blend: [0.1, 0.75], marks }
}

fn body(palette: &Palette, thorax: Ink, abdomen: Ink, second: Ink, pattern: Abdomen) -> Body {
    // Fur is duller and darker than wing scales.
    let dull = |ink: Ink, lightness: f32| palette.get(ink).shifted(0.0, 0.75, lightness);
    Body {
        thorax: dull(thorax, -0.04),
        abdomen: dull(abdomen, -0.03),
        second: dull(second, 0.0),
        pattern,
        width: 0.066,
        length: 0.40,
    }
}
