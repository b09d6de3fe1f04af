//! Pillow's antialiased resize of a part of an image, shared by all transforms.
//!
//! `fast_image_resize` computes Pillow's filter weights with SIMD. It runs the vertical pass first and rounds between the
//! passes in other fixed-point scales, so single samples may differ from Pillow's by one.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};

use crate::crop_box::CropBox;
use crate::error::DataError;
use crate::preprocess::Interpolation;
use crate::rgb_image::RgbImage;

/// A part of an image that need not start or end on whole pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Buffers that a thread reuses from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    resized: Vec<u8>,
}

impl Scratch {
    /// Empty buffers; they grow with the first image.
    pub fn new() -> Self {
        Self::default()
    }

    /// Crops `image` and resizes the crop to a square of `side` pixels. As in torchvision's `resized_crop`, pixels
    /// outside the crop have no influence.
    ///
    /// Returns `[side, side, 3]`.
    pub(super) fn resize_crop(
        &mut self,
        image: &RgbImage,
        crop: CropBox,
        side: u32,
        interpolation: Interpolation,
    ) -> Result<&[u8], DataError> {
        let outside = || DataError::CropOutside { crop, width: image.width(), height: image.height() };
        if crop.width == 0 || crop.height == 0 {
            return Err(outside());
        }
        let whole = view(image)?;
        let part =
            TypedCroppedImage::from_ref(&whole, crop.left, crop.top, crop.width, crop.height).map_err(|_| outside())?;
        self.resize(&part, (side, side), &options(interpolation)).ok_or_else(outside)
    }

    /// Resizes the part of `image` under `window` to `size`, width first. The filter reaches beyond the window's edge, so
    /// the result is what a crop of the whole resized image would be.
    ///
    /// Returns `[height, width, 3]`.
    pub(super) fn resize_window(
        &mut self,
        image: &RgbImage,
        window: Window,
        size: (u32, u32),
        interpolation: Interpolation,
    ) -> Result<&[u8], DataError> {
        let Window { left, top, width, height } = window;
        self.resize(&view(image)?, size, &options(interpolation).crop(left, top, width, height)).ok_or_else(|| {
            let crop = CropBox { top: top as u32, left: left as u32, height: height as u32, width: width as u32 };
            DataError::CropOutside { crop, width: image.width(), height: image.height() }
        })
    }

    fn resize(
        &mut self,
        source: &impl ImageView<Pixel = U8x3>,
        (width, height): (u32, u32),
        options: &ResizeOptions,
    ) -> Option<&[u8]> {
        self.resized.resize(width as usize * height as usize * 3, 0);
        let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut self.resized).ok()?;
        self.resizer.resize_typed(source, &mut target, options).ok()?;
        Some(&self.resized)
    }
}

/// `image` at another size (width first), for people and comparisons rather than for models: bilinear, and either
/// stretched or, with `fill`, the largest central part of the target's shape.
pub(crate) fn resized(image: &RgbImage, size: (u32, u32), fill: bool) -> Option<RgbImage> {
    let mut scratch = Scratch::new();
    let options = options(Interpolation::Bilinear);
    let options = if fill { options.fit_into_destination(Some((0.5, 0.5))) } else { options };
    scratch.resize(&view(image).ok()?, size, &options)?;
    RgbImage::new(size.0, size.1, scratch.resized).ok()
}

fn view(image: &RgbImage) -> Result<TypedImageRef<'_, U8x3>, DataError> {
    TypedImageRef::from_buffer(image.width(), image.height(), image.pixels()).map_err(|_| DataError::ImageShape {
        width: image.width(),
        height: image.height(),
        found_bytes: image.pixels().len(),
    })
}

fn options(interpolation: Interpolation) -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    }))
}
