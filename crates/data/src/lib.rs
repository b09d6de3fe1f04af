//! Pictures on disk to batches of numbers: datasets and class splits, decoding, transforms and the loader.
//!
//! ```text
//! folder or CSV -> Dataset -> Split (train, test)
//!                     |
//!                     Plan (which pictures form which batch) -> Loader -> Batch [B, 3, H, W]
//!                                                               decode -> transform
//! ```
//!
//! The crate knows nothing of networks and tensors: a batch is a plain slice of `f32`. It trusts no file: decoding is
//! bounded, and what cannot be read is an error with a path and a reason. Same dataset, settings and seed give the same
//! numbers with any number of threads.

pub mod dataset;
pub mod decode;
mod error;
pub mod inspect;
pub mod loader;
mod preprocess;
mod rgb_image;
pub mod thumbnail;
pub mod transform;

pub use dataset::official::Layout;
pub use dataset::{DISTRACTORS, Dataset, Item, Protocol, Role, Split, SplitRule};
pub use decode::{DecodeCost, DecodeError, DecodeFault, DecodeLimits, decode_bytes, decode_cost, decode_file};
pub use error::DataError;
pub use loader::{Augment, Batch, Batches, Loader, LoaderOptions, Plan, Unreadable, UnreadableReport};
pub use preprocess::{Interpolation, Preprocess};
pub use rgb_image::RgbImage;
pub use transform::{CropBox, EvalTransform, Scratch, TrainTransform};
