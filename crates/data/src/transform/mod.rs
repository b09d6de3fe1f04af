//! From a decoded picture to the numbers a backbone takes, equal to torchvision's transforms on PIL images.
//!
//! torchvision resizes a whole picture and then cuts; here only the pixels that survive are computed, from the same
//! filter weights, and the last step writes straight into the caller's slice of the batch. Results agree with
//! torchvision within one gray level of 255.

mod eval;
mod normalize;
mod resample;
mod train;

pub use eval::EvalTransform;
pub use resample::{CropBox, Scratch};
pub use train::{CropAndFlip, TrainTransform};

#[cfg(test)]
mod golden_tests;
