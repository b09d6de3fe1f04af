//! Synthetic pictures of butterflies: a fine-grained image set of any size that needs no download.
//!
//! A species fixes wing shape, pattern, palette and body. Species come in genera of [`SPECIES_PER_GENUS`] that share
//! shape and colors and differ in a few traits of the pattern, so that a person can tell them apart and an embedding
//! that looks at overall color cannot. An instance varies what a photograph varies: pose, wing opening, size, place,
//! wear, light, backdrop, things in front, focus, exposure, noise.
//!
//! ```text
//! species id -> Species (archetype of its genus + traits)  --+
//! seed, species id, instance -> Pose, Individual, Light, ... +-> Canvas (linear light) -> Camera -> 8-bit RGB
//! ```
//!
//! Species depend on their id alone and instances on (seed, id, instance), so sets with disjoint ids share no class
//! whatever their seeds. Pictures are a function of these numbers: the same on every run and for any number of threads.
//! Between machines they may differ in the last bit where the mathematical functions of their systems do.
//!
//! The crate draws dorsal views only, and no real species.

mod archetypes;
mod body;
mod camera;
mod canvas;
mod color;
mod dice;
mod error;
mod folder;
mod insect;
mod light;
mod marks;
mod names;
mod noise;
mod outline;
mod pattern;
mod pose;
mod scalar;
mod scenery;
mod species;
#[cfg(test)]
mod tests;

pub use camera::Film;
pub use error::SyntheticError;
pub use folder::{Progress, SyntheticSpec, Written, write_folder};
pub use names::species_name;
pub use species::SPECIES_PER_GENUS;

use std::ops::RangeInclusive;

use camera::Camera;
use dice::{Dice, Topic};
use insect::{Butterfly, Individual};
use light::Light;
use pose::Pose;
use scenery::Backdrop;
use species::Species;

use kinsight_data::RgbImage;

/// Sides that [`render`] can draw, in pixels.
pub const SIZES_PX: RangeInclusive<u32> = 16..=4096;

/// Draws one picture: instance `instance` of species `species`, `size_px` pixels wide and high.
///
/// # Errors
/// [`SyntheticError::Size`] when `size_px` is outside [`SIZES_PX`].
///
/// # Example
/// ```
/// let picture = kinsight_synthetic::render(4, 0, 7, 64)?;
/// assert_eq!((picture.width(), picture.height()), (64, 64));
/// # Ok::<(), kinsight_synthetic::SyntheticError>(())
/// ```
pub fn render(species: u32, instance: u32, seed: u64, size_px: u32) -> Result<RgbImage, SyntheticError> {
    if !SIZES_PX.contains(&size_px) {
        return Err(SyntheticError::Size { found: size_px });
    }
    Ok(photograph(&Species::of(species), Shot { seed, species, instance }, Film::Positive, size_px))
}

/// The numbers that every circumstance of a picture is drawn from.
#[derive(Debug, Clone, Copy)]
struct Shot {
    seed: u64,
    species: u32,
    instance: u32,
}

impl Shot {
    fn dice(self, topic: Topic) -> Dice {
        Dice::new(self.seed, topic, self.species, self.instance)
    }
}

/// Draws `species` under the circumstances of `shot`; `size_px` is within [`SIZES_PX`].
fn photograph(species: &Species, shot: Shot, film: Film, size_px: u32) -> RgbImage {
    let size = size_px as usize;
    let mut scenery = shot.dice(Topic::Scenery);
    let backdrop = Backdrop::draw(&mut scenery);
    let light = Light::draw(&mut scenery);
    let mut canvas = backdrop.paint(&mut scenery, &light, size);
    let individual = Individual::draw(&mut shot.dice(Topic::Individual), species);
    let pose = Pose::draw(&mut shot.dice(Topic::Pose), size, backdrop);
    Butterfly { species, individual: &individual, pose: &pose, light: &light }.draw(&mut canvas, backdrop.shade());
    scenery::obstruct(&mut canvas, &mut shot.dice(Topic::Foreground), &light);
    let pixels = Camera::draw(&mut shot.dice(Topic::Camera)).develop(&mut canvas, film);
    #[expect(clippy::expect_used, reason = "the camera develops size * size * 3 bytes, and size is at least 16")]
    RgbImage::new(size_px, size_px, pixels).expect("a developed picture is square")
}
