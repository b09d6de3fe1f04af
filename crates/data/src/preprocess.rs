//! How images become a backbone's input: size, interpolation, mean and standard deviation.
//!
//! These settings belong to the weights. They are stored in a model's metadata and enter its fingerprint, because the same
//! weights on differently prepared images give other embeddings.

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// The resampling filter, antialiased as in PIL (the support grows with the reduction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter; torchvision's default and the paper's code's.
    #[default]
    Bilinear,
    /// Catmull-Rom cubic (a = -0.5); most timm weights were trained with it.
    Bicubic,
}

/// Preprocessing of a backbone's input.
///
/// Training takes a random crop of `input_size_px`; evaluation resizes the shorter side to `resize_size_px` and crops the
/// center. Both scale to \[0, 1\] and compute `(x - mean) / std` for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Mean of red, green and blue on the scale 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue on the scale 0 to 1, each above zero.
    pub std: [f32; 3],
    /// Side of the network's square input, in pixels.
    pub input_size_px: u32,
    /// Length of the shorter side before the center crop, in pixels.
    pub resize_size_px: u32,
    /// Resampling filter.
    pub interpolation: Interpolation,
}

impl Preprocess {
    /// ImageNet's mean, as torchvision and timm state it.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// ImageNet's standard deviation, as torchvision and timm state it.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
    /// The largest side accepted for `input_size_px` and `resize_size_px`.
    pub const MAX_SIDE_PX: u32 = 16_384;

    /// The settings of the paper's code with these statistics: resize to 256, crop 224, bilinear.
    pub fn reference(mean: [f32; 3], std: [f32; 3]) -> Self {
        Self { mean, std, input_size_px: 224, resize_size_px: 256, interpolation: Interpolation::Bilinear }
    }

    /// timm's convention: the shorter side is `floor(input_size_px / crop_fraction)`, where `crop_fraction` in (0, 1] is a
    /// timm model's `crop_pct`.
    ///
    /// # Errors
    /// [`DataError::Setting`] when `crop_fraction` is outside (0, 1].
    pub fn with_crop_fraction(mut self, crop_fraction: f64) -> Result<Self, DataError> {
        if !(crop_fraction > 0.0 && crop_fraction <= 1.0) {
            return Err(DataError::setting(
                "preprocessing",
                "crop_fraction",
                "a number above 0 and at most 1",
                crop_fraction.to_string(),
            ));
        }
        self.resize_size_px = (f64::from(self.input_size_px) / crop_fraction).floor() as u32;
        Ok(self)
    }

    /// Numbers in one preprocessed image: 3 x side x side.
    pub fn output_len(&self) -> usize {
        3 * (self.input_size_px as usize).pow(2)
    }

    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// [`DataError::Setting`] naming the setting.
    pub fn validate(&self) -> Result<(), DataError> {
        for (field, size) in [("input_size_px", self.input_size_px), ("resize_size_px", self.resize_size_px)] {
            if !(1..=Self::MAX_SIDE_PX).contains(&size) {
                return Err(DataError::setting("preprocessing", field, "1 to 16384", size.to_string()));
            }
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return Err(DataError::setting(
                "preprocessing",
                "mean",
                "three finite numbers",
                format!("{:?}", self.mean),
            ));
        }
        if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Err(DataError::setting(
                "preprocessing",
                "std",
                "three finite numbers above 0",
                format!("{:?}", self.std),
            ));
        }
        Ok(())
    }
}

impl Default for Preprocess {
    /// The settings of the paper's code with ImageNet's statistics.
    fn default() -> Self {
        Self::reference(Self::IMAGENET_MEAN, Self::IMAGENET_STD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_fraction_follows_timm() {
        let size = |fraction| Preprocess::default().with_crop_fraction(fraction).map(|p| p.resize_size_px);
        assert_eq!(size(0.875).unwrap(), 256);
        assert_eq!(size(0.9).unwrap(), 248);
        assert_eq!(size(1.0).unwrap(), 224);
        assert!(size(0.0).is_err() && size(1.5).is_err() && size(f64::NAN).is_err());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let bad = Preprocess { std: [0.2, 0.0, 0.2], ..Preprocess::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("std"));
        let bad = Preprocess { input_size_px: 0, ..Preprocess::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("input_size_px"));
        assert!(Preprocess::default().validate().is_ok());
    }

    #[test]
    fn write_then_read_is_identity_and_unknown_keys_are_refused() {
        let text = serde_json::to_string(&Preprocess::default()).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), Preprocess::default());
        let more = text.replacen('{', "{\"gamma\": 1,", 1);
        assert!(serde_json::from_str::<Preprocess>(&more).is_err());
    }
}
