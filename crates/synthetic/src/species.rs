//! What makes a species. Species come in genera of six: a genus draws one archetype (swallowtail,
//! fritillary, satyr, ...), its wing shape, proportions and palette; its species differ in a few traits
//! of pattern and accent only. That is what makes the set fine-grained: the nearest neighbor in
//! overall color and shape is usually a sister species.

use super::archetypes;
use super::color::Rgb;
use super::dice::{Dice, Topic};
use super::marks::{Ink, Mark, Palette};
use super::outline::WingShape;

/// Species in one genus: ids `6 g .. 6 g + 6` are sisters.
pub const SPECIES_PER_GENUS: u32 = 6;

/// The world is the same for every set: a species id looks alike whatever the seed of its images, so
/// that two sets with disjoint ids share no class.
const WORLD: u64 = 0x0B07_7E4F_1135;

/// How many traits sister species differ in at least.
const APART: usize = 3;

/// Six traits of three variants each; an archetype reads every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    pub band: u8,
    pub spots: u8,
    pub accent: u8,
    pub border: u8,
    pub tip: u8,
    pub hind: u8,
}

impl Traits {
    fn draw(dice: &mut Dice) -> Self {
        let mut any = || dice.below(3) as u8;
        Self { band: any(), spots: any(), accent: any(), border: any(), tip: any(), hind: any() }
    }

    fn apart(self, other: Self) -> usize {
        let parts = |t: Self| [t.band, t.spots, t.accent, t.border, t.tip, t.hind];
        parts(self).iter().zip(parts(other)).filter(|&(&a, b)| a != b).count()
    }
}

/// Outline, ground color and marks of a wing.
#[derive(Debug, Clone)]
pub(super) struct WingDesign {
    pub shape: WingShape,
    /// Color near the hinge and near the margin, and where one turns into the other.
    pub ground: [Ink; 2],
    pub blend: [f32; 2],
    pub marks: Vec<Mark>,
}

/// How the abdomen is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abdomen {
    Plain,
    Ringed,
    Striped,
}

/// Head, thorax, abdomen and antennae.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub thorax: Rgb,
    pub abdomen: Rgb,
    pub second: Rgb,
    pub pattern: Abdomen,
    /// Half width of the thorax and length of the abdomen, wing units.
    pub width: f32,
    pub length: f32,
}

/// Structural color, seen where the wing mirrors the sky.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheen {
    pub color: Rgb,
    pub strength: f32,
}

/// A species, ready to be drawn any number of times.
#[derive(Debug, Clone)]
pub(super) struct Species {
    pub fore: WingDesign,
    pub hind: WingDesign,
    pub palette: Palette,
    pub body: Body,
    pub sheen: Option<Sheen>,
}

impl Species {
    /// The species of an id.
    pub fn of(id: u32) -> Self {
        let genus = id / SPECIES_PER_GENUS;
        let member = (id % SPECIES_PER_GENUS) as usize;
        let mut dice = Dice::new(WORLD, Topic::Genus, genus, 0);
        let traits = sister_traits(&mut dice)[member];
        let mut species = archetypes::draw(&mut dice, traits);
        species.tint(&mut Dice::new(WORLD, Topic::Species, id, 0));
        species
    }

    /// The slight shift of ground color that sister species have besides their traits.
    fn tint(&mut self, dice: &mut Dice) {
        let (hue, lightness) = (dice.spread(0.10), dice.spread(0.04));
        for ink in [Ink::Ground, Ink::Flush] {
            let color = &mut self.palette.0[ink as usize];
            *color = color.shifted(hue, 1.0, lightness);
        }
    }
}

/// Traits of the species of one genus, each pair different in at least [`APART`] of them.
fn sister_traits(dice: &mut Dice) -> [Traits; SPECIES_PER_GENUS as usize] {
    let mut sisters = [Traits::draw(dice); SPECIES_PER_GENUS as usize];
    for i in 1..sisters.len() {
        // 3^6 codes hold many more than six words at distance three, so this ends after a few draws.
        sisters[i] = loop {
            let candidate = Traits::draw(dice);
            if sisters[..i].iter().all(|sister| sister.apart(candidate) >= APART) {
                break candidate;
            }
        };
    }
    sisters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sister_species_differ_in_three_traits() {
        for genus in 0..200 {
            let sisters = sister_traits(&mut Dice::new(WORLD, Topic::Genus, genus, 0));
            for i in 0..sisters.len() {
                for j in 0..i {
                    assert!(sisters[i].apart(sisters[j]) >= APART, "genus {genus}: {:?} {:?}", sisters[i], sisters[j]);
                }
            }
        }
    }
}
