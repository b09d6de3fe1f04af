//! A rectangle of whole pixels inside an image, as users write it and annotations give it.

use std::fmt;
use std::str::FromStr;

/// A part of an image, in pixels of the upright image. As text: `left,top,width,height`.
///
/// # Example
/// ```
/// # use kinsight_data::CropBox;
/// let crop: CropBox = "10, 20,300,200".parse()?;
/// assert_eq!(crop, CropBox { top: 20, left: 10, height: 200, width: 300 });
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CropBox {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Number of rows.
    pub height: u32,
    /// Number of columns.
    pub width: u32,
}

impl CropBox {
    /// The part of this box inside an image of `width` x `height` pixels, or `None` if they do not overlap: published
    /// boxes often reach a little beyond their image.
    pub(crate) fn clamped(self, width: u32, height: u32) -> Option<Self> {
        let inside = |start: u32, length: u32, whole: u32| length.min(whole.checked_sub(start)?).checked_sub(1);
        let (last_column, last_row) = (inside(self.left, self.width, width)?, inside(self.top, self.height, height)?);
        Some(Self { height: last_row + 1, width: last_column + 1, ..self })
    }
}

impl fmt::Display for CropBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.left, self.top, self.width, self.height)
    }
}

impl FromStr for CropBox {
    type Err = String;

    /// Reads `left,top,width,height`; the error states the expected form.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[left, top, width, height]) if width > 0 && height > 0 => Ok(Self { top, left, height, width }),
            _ => Err("expected left,top,width,height in whole pixels, such as 10,20,300,200".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_box_are_the_same_and_nothing_else_is_read() {
        assert_eq!("1, 2,3,4".parse::<CropBox>().unwrap().to_string(), "1,2,3,4");
        for text in ["", "1,2,3", "0,0,0,1", "-1,0,2,2", "0,0,2,2,2", "0,0,2.5,2", "a,b,c,d"] {
            assert!(text.parse::<CropBox>().is_err(), "{text}");
        }
    }

    #[test]
    fn boxes_are_clamped_to_their_image() {
        let clamped = |text: &str| text.parse::<CropBox>().unwrap().clamped(4, 3).map(|crop| crop.to_string());
        for (text, expected) in [("0,0,4,3", "0,0,4,3"), ("3,1,9,1", "3,1,1,1"), ("1,2,4294967295,5", "1,2,3,1")] {
            assert_eq!(clamped(text).as_deref(), Some(expected));
        }
        assert!(clamped("4,0,1,1").is_none() && clamped("0,3,1,1").is_none() && clamped("9,9,1,1").is_none());
    }
}
