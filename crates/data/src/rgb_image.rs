//! The one in-memory picture format of the crate: 8-bit RGB, interleaved, row by row.
//!
//! Everything a file may hold (gray, palette, alpha, 16 bits, CMYK) becomes this at decoding, so that transforms
//! have a single case to handle.

use crate::error::DataError;
use crate::transform::CropBox;

/// A decoded picture with at least one pixel.
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

    /// The samples, `[height, width, 3]`, given away.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The part of the picture inside `crop`; a box that reaches beyond the picture is cut to it, and one that lies beside it
    /// is `None`.
    pub fn cut(&self, crop: CropBox) -> Option<Self> {
        let right = crop.left.saturating_add(crop.width).min(self.width);
        let bottom = crop.top.saturating_add(crop.height).min(self.height);
        if right <= crop.left || bottom <= crop.top {
            return None;
        }
        let (width, height) = (right - crop.left, bottom - crop.top);
        let row = |y: u32| {
            let start = (y as usize * self.width as usize + crop.left as usize) * 3;
            &self.pixels[start..start + width as usize * 3]
        };
        let pixels = (crop.top..bottom).flat_map(row).copied().collect();
        Some(Self { width, height, pixels })
    }

    /// The pixel in column `x` of row `y`, or `None` outside the picture.
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
    fn pixel_reads_row_major() {
        let image = RgbImage::new(2, 2, (0..12).collect()).unwrap();
        assert_eq!(image.pixel(1, 0), Some([3, 4, 5]));
        assert_eq!(image.pixel(0, 1), Some([6, 7, 8]));
        assert_eq!(image.pixel(2, 0), None);
    }
}
