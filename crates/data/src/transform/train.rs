//! The random transform of training: a crop of random place, area and shape, mirrored half of the time.

use rand::{Rng, RngExt};

use super::normalize::Normalize;
use super::resample::Scratch;
use crate::crop_box::CropBox;
use crate::error::DataError;
use crate::preprocess::Preprocess;
use crate::rgb_image::RgbImage;

/// Aspect ratios (width / height) of torchvision's `RandomResizedCrop`.
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// How often an image is mirrored.
const FLIP_PROBABILITY: f64 = 0.5;

/// torchvision's `RandomResizedCrop(input_size)`, `RandomHorizontalFlip`, scale to \[0, 1\], `Normalize(mean, std)`.
///
/// Drawing and applying are separate, so that each can be tested without the other.
#[derive(Debug, Clone)]
pub(crate) struct TrainTransform {
    preprocess: Preprocess,
    normalize: Normalize,
    min_area: f64,
}

/// What was drawn for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CropAndFlip {
    /// The part of the image that is used.
    pub crop: CropBox,
    /// Whether it is mirrored left to right.
    pub flip: bool,
}

impl TrainTransform {
    /// Crops cover at least `min_area` of the image, above 0 and at most 1. torchvision's default is 0.08; classes that
    /// only the whole shape tells apart want more.
    ///
    /// # Errors
    /// [`DataError::Setting`] for settings out of range.
    pub fn new(preprocess: Preprocess, min_area: f64) -> Result<Self, DataError> {
        preprocess.validate()?;
        if !(min_area > 0.0 && min_area <= 1.0) {
            let expected = "a number above 0 and at most 1";
            return Err(DataError::setting("preprocessing", "min_crop_area", expected, min_area.to_string()));
        }
        Ok(Self { preprocess, normalize: Normalize::new(&preprocess), min_area })
    }

    /// Draws a crop and a flip for an image of `width` x `height` pixels.
    ///
    /// Ten draws of area and (log-uniform) aspect ratio; if none fits the image, the largest central crop with a ratio in
    /// range, as torchvision does.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> CropAndFlip {
        let crop = self.draw_crop(width, height, rng);
        CropAndFlip { crop, flip: rng.random::<f64>() < FLIP_PROBABILITY }
    }

    /// Writes `image`, cropped and mirrored as drawn, into `out`.
    ///
    /// # Shapes
    /// `out` is `[3, input_size_px, input_size_px]`, row-major.
    ///
    /// # Errors
    /// [`DataError::OutputLength`] for a slice of another length, [`DataError::CropOutside`] for a crop that does not lie
    /// inside the image.
    pub fn apply(
        &self,
        image: &RgbImage,
        drawn: CropAndFlip,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        self.normalize.check_output(out)?;
        let side = self.preprocess.input_size_px;
        let resized = scratch.resize_crop(image, drawn.crop, side, self.preprocess.interpolation)?;
        self.normalize.write(resized, 0..side as usize, 0..side as usize, drawn.flip, out);
        Ok(())
    }

    fn draw_crop(&self, width: u32, height: u32, rng: &mut impl Rng) -> CropBox {
        const TRIES: usize = 10;
        let area = f64::from(width) * f64::from(height);
        for _ in 0..TRIES {
            let target_area = area * uniform(rng, (self.min_area, 1.0));
            let aspect = uniform(rng, (RATIO.0.ln(), RATIO.1.ln())).exp();
            let crop_width = (target_area * aspect).sqrt().round_ties_even() as u32;
            let crop_height = (target_area / aspect).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                let top = rng.random_range(0..=height - crop_height);
                let left = rng.random_range(0..=width - crop_width);
                return CropBox { top, left, height: crop_height, width: crop_width };
            }
        }
        central_crop(width, height)
    }
}

/// The largest central crop with a ratio in range.
fn central_crop(width: u32, height: u32) -> CropBox {
    let round = |length: f64| length.round_ties_even().max(1.0) as u32;
    let ratio = f64::from(width) / f64::from(height);
    let crop_height = if ratio < RATIO.0 { round(f64::from(width) / RATIO.0).min(height) } else { height };
    let crop_width = if ratio > RATIO.1 { round(f64::from(height) * RATIO.1).min(width) } else { width };
    CropBox { top: (height - crop_height) / 2, left: (width - crop_width) / 2, height: crop_height, width: crop_width }
}

fn uniform(rng: &mut impl Rng, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn transform() -> TrainTransform {
        TrainTransform::new(Preprocess { input_size_px: 16, ..Preprocess::default() }, 0.08).unwrap()
    }

    proptest! {
        #[test]
        fn every_crop_lies_inside(width in 1u32..3000, height in 1u32..3000, seed: u64) {
            let drawn = transform().draw(width, height, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(drawn.crop.width >= 1 && drawn.crop.left + drawn.crop.width <= width);
            prop_assert!(drawn.crop.height >= 1 && drawn.crop.top + drawn.crop.height <= height);
        }
    }

    #[test]
    fn crops_stay_within_the_ranges_and_fill_them() {
        let transform = transform();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut least, mut most, mut flips) = (f64::MAX, 0.0f64, 0);
        for _ in 0..4000 {
            let CropAndFlip { crop, flip } = transform.draw(400, 300, &mut rng);
            let area = f64::from(crop.width) * f64::from(crop.height) / (400.0 * 300.0);
            let ratio = f64::from(crop.width) / f64::from(crop.height);
            assert!((0.078..=1.0).contains(&area) && (0.73..=1.36).contains(&ratio), "{crop:?}");
            least = least.min(area);
            most = most.max(area);
            flips += usize::from(flip);
        }
        assert!(least < 0.1 && most > 0.95, "areas from {least} to {most}");
        assert!((1800..2200).contains(&flips), "{flips} of 4000 mirrored");
    }

    #[test]
    fn thin_images_fall_back_to_the_center() {
        let draw = |width, height| transform().draw(width, height, &mut ChaCha8Rng::seed_from_u64(1)).crop;
        assert_eq!(draw(3000, 3), CropBox { top: 0, left: 1498, height: 3, width: 4 });
        assert_eq!(draw(3, 3000), CropBox { top: 1498, left: 0, height: 4, width: 3 });
        assert_eq!(draw(1, 1), CropBox { top: 0, left: 0, height: 1, width: 1 });
    }

    #[test]
    fn a_crop_outside_the_image_is_refused() {
        let image = RgbImage::new(4, 4, vec![0; 48]).unwrap();
        let crop = CropBox { top: 2, left: 0, height: 3, width: 4 };
        let mut out = vec![0.0; 3 * 16 * 16];
        let error = transform().apply(&image, CropAndFlip { crop, flip: false }, &mut Scratch::new(), &mut out);
        assert!(matches!(error, Err(DataError::CropOutside { .. })));
    }
}
