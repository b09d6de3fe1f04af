//! The in-memory image: 8-bit RGB, interleaved, row by row.
//!
//! Decoding turns everything else (gray, palettes, alpha, 16 bits, CMYK) into this, so that transforms handle one case.

use crate::crop_box::CropBox;
use crate::error::DataError;

/// A decoded image with at least one pixel.
///
/// # Shapes
/// `pixels` is `[height, width, 3]`, row-major, channels in the order red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl RgbImage {
    /// Wraps `pixels`, `[height, width, 3]`.
    ///
    /// # Errors
    /// [`DataError::ImageShape`] when a side is zero or the length is not `height * width * 3`.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, DataError> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || pixels.len() as u64 != expected {
            return Err(DataError::ImageShape { width, height, found_bytes: pixels.len() });
        }
        Ok(Self { width, height, pixels })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The samples, `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The samples, `[height, width, 3]`, without copying.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// A copy of the pixels in `crop`.
    ///
    /// # Errors
    /// [`DataError::CropOutside`] if the crop is empty or does not lie inside the image.
    pub fn crop(&self, crop: CropBox) -> Result<Self, DataError> {
        if crop.clamped(self.width, self.height) != Some(crop) {
            return Err(DataError::CropOutside { crop, width: self.width, height: self.height });
        }
        let rows = self.pixels.chunks_exact(self.width as usize * 3).skip(crop.top as usize).take(crop.height as usize);
        let columns = crop.left as usize * 3..(crop.left + crop.width) as usize * 3;
        let mut pixels = Vec::with_capacity(crop.height as usize * columns.len());
        rows.for_each(|row| pixels.extend_from_slice(&row[columns.clone()]));
        Ok(Self { width: crop.width, height: crop.height, pixels })
    }

    /// The pixel in column `x` of row `y`, or `None` outside the image.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let start = (y as usize * self.width as usize + x as usize) * 3;
        Some([self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_must_fit_the_bytes() {
        assert!(RgbImage::new(2, 1, vec![0; 6]).is_ok());
        assert!(RgbImage::new(2, 1, vec![0; 5]).is_err());
        assert!(RgbImage::new(0, 1, vec![]).is_err());
    }

    #[test]
    fn pixels_and_crops_are_row_major_and_never_outside() {
        let image = RgbImage::new(4, 3, (0..36).collect()).unwrap();
        assert_eq!(image.pixel(1, 0), Some([3, 4, 5]));
        assert_eq!(image.pixel(0, 1), Some([12, 13, 14]));
        assert_eq!(image.pixel(4, 0), None);
        let crop = |left, top, width, height| image.crop(CropBox { top, left, height, width });
        assert_eq!(crop(1, 1, 2, 2).unwrap().pixels(), [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
        for (left, top, width, height) in [(3, 0, 2, 1), (0, 2, 1, 2), (u32::MAX, 0, 1, 1), (0, 0, 0, 1), (0, 3, 1, 1)]
        {
            assert!(matches!(crop(left, top, width, height), Err(DataError::CropOutside { .. })));
        }
    }
}
