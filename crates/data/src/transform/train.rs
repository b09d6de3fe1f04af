//! The random transform of training: a crop of random place, area and shape, mirrored half of the time.

use rand::{Rng, RngExt};

use super::normalize::{Normalize, Placement};
use super::resample::{CropBox, Scratch};
use crate::error::DataError;
use crate::preprocess::Preprocess;
use crate::rgb_image::RgbImage;

/// torchvision's `RandomResizedCrop(input_size)`, `RandomHorizontalFlip`, scale to \[0, 1\], `Normalize(mean, std)`.
///
/// Drawing and applying are apart, so that a crop can be shown, logged or tested.
#[derive(Debug, Clone)]
pub struct TrainTransform {
    preprocess: Preprocess,
    normalize: Normalize,
    area: (f64, f64),
    ratio: (f64, f64),
    flip_probability: f64,
}

/// What was drawn for one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropAndFlip {
    /// The part of the picture that is seen.
    pub crop: CropBox,
    /// Whether it is mirrored left to right.
    pub flip: bool,
}

impl TrainTransform {
    /// A transform by these settings, with torchvision's ranges: area 0.08 to 1 of the picture, aspect ratio 3/4 to 4/3,
    /// mirrored with probability 0.5.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] for settings out of range.
    pub fn new(preprocess: Preprocess) -> Result<Self, DataError> {
        preprocess.validate()?;
        Ok(Self {
            preprocess,
            normalize: Normalize::new(&preprocess),
            area: (0.08, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            flip_probability: 0.5,
        })
    }

    /// The same with crops of at least `min_area` of the picture, above 0 and at most 1: what is told apart by its whole
    /// shape should not be cut to a corner.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] for an area out of range.
    pub fn with_min_area(mut self, min_area: f64) -> Result<Self, DataError> {
        if !(min_area > 0.0 && min_area <= 1.0) {
            let found = min_area.to_string();
            return Err(DataError::Preprocess {
                field: "min_crop_area",
                expected: "a number above 0 and at most 1",
                found,
            });
        }
        self.area.0 = min_area;
        Ok(self)
    }

    /// The settings.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Draws a crop and a flip for a picture of `width` x `height` pixels.
    ///
    /// Ten draws of area and (log-uniform) aspect ratio; when none fits the picture, the largest central crop whose ratio
    /// is in range, as torchvision does.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> CropAndFlip {
        let crop = self.draw_crop(width, height, rng);
        CropAndFlip { crop, flip: rng.random::<f64>() < self.flip_probability }
    }

    /// Writes `image`, cropped and mirrored by `cut`, into `out`.
    ///
    /// # Shapes
    /// `out` is `[3, input_size_px, input_size_px]`, row-major.
    ///
    /// # Errors
    /// [`DataError::OutputLength`] for a slice of another length, [`DataError::CropOutside`] for a crop that does not lie in
    /// the picture.
    pub fn apply(
        &self,
        image: &RgbImage,
        cut: CropAndFlip,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        self.normalize.check_output(out)?;
        let side = self.preprocess.input_size_px;
        let resized = scratch.resize_cut(image, cut.crop, side, self.preprocess.interpolation)?;
        let (width, height) = (side as usize, side as usize);
        self.normalize.write(resized, Placement { left: 0, top: 0, width, height, flip: cut.flip }, out);
        Ok(())
    }

    fn draw_crop(&self, width: u32, height: u32, rng: &mut impl Rng) -> CropBox {
        const TRIES: usize = 10;
        let area = f64::from(width) * f64::from(height);
        let log_ratio = (self.ratio.0.ln(), self.ratio.1.ln());
        for _ in 0..TRIES {
            let target_area = area * uniform(rng, self.area);
            let aspect = uniform(rng, log_ratio).exp();
            let crop_width = (target_area * aspect).sqrt().round_ties_even() as u32;
            let crop_height = (target_area / aspect).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                let top = rng.random_range(0..=height - crop_height);
                let left = rng.random_range(0..=width - crop_width);
                return CropBox { top, left, height: crop_height, width: crop_width };
            }
        }
        self.central_crop(width, height)
    }

    fn central_crop(&self, width: u32, height: u32) -> CropBox {
        let round = |length: f64| length.round_ties_even().max(1.0) as u32;
        let picture_ratio = f64::from(width) / f64::from(height);
        let (crop_width, crop_height) = if picture_ratio < self.ratio.0 {
            (width, round(f64::from(width) / self.ratio.0).min(height))
        } else if picture_ratio > self.ratio.1 {
            (round(f64::from(height) * self.ratio.1).min(width), height)
        } else {
            (width, height)
        };
        CropBox {
            top: (height - crop_height) / 2,
            left: (width - crop_width) / 2,
            height: crop_height,
            width: crop_width,
        }
    }
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
        TrainTransform::new(Preprocess { input_size_px: 16, ..Preprocess::default() }).unwrap()
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
    fn crops_keep_to_the_ranges_and_fill_them() {
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
    fn thin_pictures_fall_back_to_the_center() {
        let draw = |width, height| transform().draw(width, height, &mut ChaCha8Rng::seed_from_u64(1)).crop;
        assert_eq!(draw(3000, 3), CropBox { top: 0, left: 1498, height: 3, width: 4 });
        assert_eq!(draw(3, 3000), CropBox { top: 1498, left: 0, height: 4, width: 3 });
        assert_eq!(draw(1, 1), CropBox { top: 0, left: 0, height: 1, width: 1 });
    }

    #[test]
    fn a_crop_outside_the_picture_is_refused() {
        let image = RgbImage::new(4, 4, vec![0; 48]).unwrap();
        let crop = CropBox { top: 2, left: 0, height: 3, width: 4 };
        let mut out = vec![0.0; 3 * 16 * 16];
        let error = transform().apply(&image, CropAndFlip { crop, flip: false }, &mut Scratch::new(), &mut out);
        assert!(matches!(error, Err(DataError::CropOutside { .. })));
    }
}
