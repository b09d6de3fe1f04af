//! From image files to batches of numbers: datasets and class splits, decoding, transforms and the loader.
//!
//! ```text
//! folder or CSV -> Dataset -> Split (train, test)
//!                     |
//!                     Plan (which images form which batch) -> Loader -> Batch [B, 3, H, W]
//!                                                             decode -> transform
//! ```
//!
//! The crate knows neither networks nor tensors: a batch is a plain slice of `f32`. Files are not trusted: decoding is
//! bounded, and an unreadable file is an error with its path and the reason. The same dataset, settings and seed give
//! the same numbers with any number of threads.

mod crop_box;
pub mod dataset;
pub mod decode;
mod embedder;
mod error;
mod fingerprint;
pub mod inspect;
pub mod loader;
mod preprocess;
mod rgb_image;
pub mod thumbnail;
pub mod transform;

pub use crop_box::CropBox;
pub use dataset::official::Layout;
pub use dataset::{DISTRACTORS, Dataset, Item, Protocol, Role, Split, SplitRule};
pub use decode::{DecodeCost, DecodeError, DecodeFault, DecodeLimits, decode_bytes, decode_cost, decode_file};
pub use embedder::ImageEmbedder;
pub use error::DataError;
pub use fingerprint::{Difference, Fingerprint, ModelSource};
pub use loader::{Augment, Batch, Batches, Loader, LoaderOptions, Plan, Unreadable, UnreadableReport};
pub use preprocess::{Interpolation, Preprocess};
pub use rgb_image::RgbImage;
pub use transform::{EvalTransform, Scratch};
