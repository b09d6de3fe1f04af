//! The step both transforms share: PIL's antialiased resize of a box of a picture.
//!
//! `fast_image_resize` computes Pillow's filter weights with SIMD; it runs the vertical pass first and rounds between
//! the passes with other fixed-point scales, so single samples may differ from Pillow's by one.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};

use crate::error::DataError;
use crate::preprocess::Interpolation;
use crate::rgb_image::RgbImage;

/// A box of whole pixels inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// A box inside a picture that need not start or end on whole pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Buffers a thread keeps from one picture to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    resized: Vec<u8>,
}

impl Scratch {
    /// Empty buffers; they grow with the first picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts `crop` out of `image` and resizes the cut to a square of `side` pixels. As in torchvision's `resized_crop`,
    /// pixels outside the cut have no influence.
    ///
    /// Returns `[side, side, 3]`.
    pub(super) fn resize_cut(
        &mut self,
        image: &RgbImage,
        crop: CropBox,
        side: u32,
        interpolation: Interpolation,
    ) -> Result<&[u8], DataError> {
        let outside = || DataError::CropOutside {
            left: crop.left,
            top: crop.top,
            crop_width: crop.width,
            crop_height: crop.height,
            width: image.width(),
            height: image.height(),
        };
        if crop.width == 0 || crop.height == 0 {
            return Err(outside());
        }
        let whole = view(image)?;
        let cut =
            TypedCroppedImage::from_ref(&whole, crop.left, crop.top, crop.width, crop.height).map_err(|_| outside())?;
        self.resize(&cut, side, side, &ResizeOptions::new().resize_alg(filter(interpolation)), outside)
    }

    /// Resizes the part of `image` under `window` to `width` x `height`. Pixels beyond the window's edge take part in the
    /// filter, so the result is a cut of the whole picture resized at this scale.
    ///
    /// Returns `[height, width, 3]`.
    pub(super) fn resize_window(
        &mut self,
        image: &RgbImage,
        window: Window,
        (width, height): (u32, u32),
        interpolation: Interpolation,
    ) -> Result<&[u8], DataError> {
        let outside = || DataError::CropOutside {
            left: window.left as u32,
            top: window.top as u32,
            crop_width: window.width as u32,
            crop_height: window.height as u32,
            width: image.width(),
            height: image.height(),
        };
        let options = ResizeOptions::new().resize_alg(filter(interpolation)).crop(
            window.left,
            window.top,
            window.width,
            window.height,
        );
        self.resize(&view(image)?, width, height, &options, outside)
    }

    fn resize(
        &mut self,
        source: &impl ImageView<Pixel = U8x3>,
        width: u32,
        height: u32,
        options: &ResizeOptions,
        outside: impl Fn() -> DataError,
    ) -> Result<&[u8], DataError> {
        self.resized.resize(width as usize * height as usize * 3, 0);
        let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut self.resized).map_err(|_| outside())?;
        self.resizer.resize_typed(source, &mut target, options).map_err(|_| outside())?;
        Ok(&self.resized)
    }
}

fn view(image: &RgbImage) -> Result<TypedImageRef<'_, U8x3>, DataError> {
    TypedImageRef::from_buffer(image.width(), image.height(), image.pixels()).map_err(|_| DataError::ImageShape {
        width: image.width(),
        height: image.height(),
        found_bytes: image.pixels().len(),
    })
}

fn filter(interpolation: Interpolation) -> ResizeAlg {
    ResizeAlg::Convolution(match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    })
}
