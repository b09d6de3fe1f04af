//! From a decoded image to a backbone's input, equal to torchvision's transforms on PIL images.
//!
//! torchvision resizes the whole image and crops it afterwards; here only the pixels that survive are computed, with the
//! same filter weights, and the last step writes straight into the caller's slice of the batch. Results agree with
//! torchvision within one gray level of 255.

mod eval;
mod normalize;
mod resample;
mod train;

pub use eval::EvalTransform;
pub use resample::Scratch;
pub(crate) use resample::resized;
pub(crate) use train::TrainTransform;

#[cfg(test)]
mod golden_tests;
