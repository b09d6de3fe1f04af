//! The deterministic transform of evaluation and search: resize the shorter side, crop the center, normalize.

use std::ops::Range;

use super::normalize::Normalize;
use super::resample::{Scratch, Window};
use crate::error::DataError;
use crate::preprocess::Preprocess;
use crate::rgb_image::RgbImage;

/// torchvision's `Resize(resize_size)`, `CenterCrop(input_size)`, scale to \[0, 1\], `Normalize(mean, std)`.
///
/// A resized image smaller than the crop is padded with black, as in torchvision.
#[derive(Debug, Clone)]
pub struct EvalTransform {
    preprocess: Preprocess,
    normalize: Normalize,
}

/// One axis of the transform: which part of the source goes where in the output.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    /// Start of the visible part in source pixels.
    source_start: f64,
    /// Length of the visible part in source pixels.
    source_length: f64,
    /// First output pixel of the image.
    pad: u32,
    /// Output pixels of the image.
    visible: u32,
}

impl EvalTransform {
    /// A transform with these settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] for settings out of range.
    pub fn new(preprocess: Preprocess) -> Result<Self, DataError> {
        preprocess.validate()?;
        Ok(Self { preprocess, normalize: Normalize::new(&preprocess) })
    }

    /// The settings.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Writes the transformed `image` into `out`.
    ///
    /// # Shapes
    /// `out` is `[3, input_size_px, input_size_px]`, row-major.
    ///
    /// # Errors
    /// [`DataError::OutputLength`] for a slice of another length.
    pub fn apply(&self, image: &RgbImage, scratch: &mut Scratch, out: &mut [f32]) -> Result<(), DataError> {
        self.normalize.check_output(out)?;
        let (resized_width, resized_height) =
            resized_size(image.width(), image.height(), self.preprocess.resize_size_px);
        let x = Axis::new(image.width(), resized_width, self.preprocess.input_size_px);
        let y = Axis::new(image.height(), resized_height, self.preprocess.input_size_px);
        let window =
            Window { left: x.source_start, top: y.source_start, width: x.source_length, height: y.source_length };
        let resized = scratch.resize_window(image, window, (x.visible, y.visible), self.preprocess.interpolation)?;
        self.normalize.write(resized, x.filled(), y.filled(), false, out);
        Ok(())
    }

    /// The image that transformed values stand for: what the network sees. For explanations.
    ///
    /// # Shapes
    /// `values` is `[3, input_size_px, input_size_px]`, row-major, as [`Self::apply`] writes them.
    ///
    /// # Errors
    /// [`DataError::OutputLength`] for a slice of another length.
    pub fn seen(&self, values: &[f32]) -> Result<RgbImage, DataError> {
        self.normalize.check_output(values)?;
        let Preprocess { mean, std, input_size_px: side, .. } = self.preprocess;
        let plane = values.len() / 3;
        let sample = |place: usize, channel: usize| {
            ((values[channel * plane + place] * std[channel] + mean[channel]) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        let pixels = (0..plane).flat_map(|place| [0, 1, 2].map(|channel| sample(place, channel))).collect();
        RgbImage::new(side, side, pixels)
    }
}

impl Axis {
    /// `source` pixels resized to `resized`, of which the central `crop` remain.
    fn new(source: u32, resized: u64, crop: u32) -> Self {
        let source = f64::from(source);
        if resized <= u64::from(crop) {
            let visible = resized as u32;
            return Self { source_start: 0.0, source_length: source, pad: (crop - visible) / 2, visible };
        }
        // torchvision uses Python's round: halves go to the even neighbor.
        let start = ((resized - u64::from(crop)) as f64 / 2.0).round_ties_even();
        let to_source = |position: f64| position * source / resized as f64;
        let source_start = to_source(start);
        let source_length = to_source(f64::from(crop)).min(source - source_start);
        Self { source_start, source_length, pad: 0, visible: crop }
    }

    /// The output pixels of the image.
    fn filled(self) -> Range<usize> {
        self.pad as usize..(self.pad + self.visible) as usize
    }
}

/// torchvision's size rule: the shorter side becomes `size`, the longer one is truncated to whole pixels. The longer side
/// of a very thin image can exceed 32 bits.
fn resized_size(width: u32, height: u32, size: u32) -> (u64, u64) {
    let long = |long: u32, short: u32| u64::from(size) * u64::from(long) / u64::from(short);
    if width <= height { (u64::from(size), long(height, width)) } else { (long(width, height), u64::from(size)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> RgbImage {
        let pixels = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x * 7) as u8, (y * 5) as u8, (x + y) as u8]))
            .collect();
        RgbImage::new(width, height, pixels).unwrap()
    }

    #[test]
    fn seen_inverts_apply() {
        let mut preprocess = Preprocess::reference(Preprocess::IMAGENET_MEAN, Preprocess::IMAGENET_STD);
        (preprocess.input_size_px, preprocess.resize_size_px) = (24, 24);
        let transform = EvalTransform::new(preprocess).unwrap();
        let image = gradient(24, 24);
        let mut values = vec![0.0; 3 * 24 * 24];
        transform.apply(&image, &mut Scratch::default(), &mut values).unwrap();
        assert_eq!(transform.seen(&values).unwrap(), image);
        assert!(transform.seen(&values[1..]).is_err());
    }

    #[test]
    fn sizes_truncate_as_torchvision() {
        assert_eq!(resized_size(500, 375, 256), (341, 256));
        assert_eq!(resized_size(375, 500, 256), (256, 341));
        assert_eq!(resized_size(101, 67, 48), (72, 48));
        assert_eq!(resized_size(1, 100_000_000, 16_384), (16_384, 1_638_400_000_000));
    }

    #[test]
    fn odd_margins_round_half_to_even() {
        // (341 - 224) / 2 = 58.5 -> 58; (227 - 224) / 2 = 1.5 -> 2.
        assert_eq!(Axis::new(341, 341, 224).source_start, 58.0);
        assert_eq!(Axis::new(227, 227, 224).source_start, 2.0);
    }

    #[test]
    fn a_small_image_is_padded_with_black() {
        let preprocess =
            Preprocess { mean: [0.0; 3], std: [1.0; 3], input_size_px: 7, resize_size_px: 4, ..Preprocess::default() };
        let white = RgbImage::new(4, 4, vec![255; 48]).unwrap();
        let mut out = vec![9.0; preprocess.output_len()];
        EvalTransform::new(preprocess).unwrap().apply(&white, &mut Scratch::new(), &mut out).unwrap();
        // torchvision pads (7 - 4) / 2 = 1 before and 2 after.
        let row = [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(out[..7], [0.0; 7]);
        assert_eq!(out[7..14], row);
        assert_eq!(out[28..35], row);
        assert_eq!(out[35..49], [0.0; 14]);
    }

    #[test]
    fn thin_images_cost_no_more_than_the_crop() {
        let transform = EvalTransform::new(Preprocess::default()).unwrap();
        let mut out = vec![0.0; transform.preprocess().output_len()];
        for (width, height) in [(1, 1), (1, 60_000), (60_000, 1), (3, 2)] {
            transform.apply(&gradient(width, height), &mut Scratch::new(), &mut out).unwrap();
            assert!(out.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn a_slice_of_another_length_is_refused() {
        let transform = EvalTransform::new(Preprocess::default()).unwrap();
        let error = transform.apply(&gradient(8, 8), &mut Scratch::new(), &mut [0.0; 5]).unwrap_err();
        assert!(matches!(error, DataError::OutputLength { expected: 150_528, found: 5 }));
    }
}
