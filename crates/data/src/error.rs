//! What can go wrong on the way from a path to a batch of images.

use std::path::PathBuf;

use crate::crop_box::CropBox;
use crate::decode::DecodeError;

/// An error of this crate. [`DataError::hint`] says what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path that does not exist.
    #[error("no such file or folder: {}", .path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A file or folder that exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A dataset folder without class folders.
    #[error("no class folders in {} ({loose_images} images directly in it)", .path.display())]
    NoClasses {
        /// The dataset folder.
        path: PathBuf,
        /// Images found where class folders were expected.
        loose_images: usize,
    },
    /// Class folders without images.
    #[error("{} class folders of {} hold no image: {}", .classes.len(), .path.display(), list(.classes))]
    EmptyClasses {
        /// The dataset folder.
        path: PathBuf,
        /// Names of the empty classes.
        classes: Vec<String>,
    },
    /// A dataset without images.
    #[error("no images in {}", .path.display())]
    NoImages {
        /// The folder or list.
        path: PathBuf,
    },
    /// A list without a required column.
    #[error("{}: no column {} in the header (found: {})", .path.display(), list(.missing), list(.found))]
    MissingColumns {
        /// The CSV or Parquet file.
        path: PathBuf,
        /// Names of the missing columns.
        missing: Vec<String>,
        /// The header as found.
        found: Vec<String>,
    },
    /// Malformed CSV.
    #[error("{}: not a readable CSV file", .path.display())]
    Csv {
        /// The CSV file.
        path: PathBuf,
        /// The parser's error, which names the line.
        source: csv::Error,
    },
    /// A Parquet or annotation file that cannot be parsed.
    #[error("{}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A row of a CSV file, or a line of an annotation file, that cannot be used.
    #[error("{}, line {line}: {reason}", .path.display())]
    CsvRow {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that does not have the layout of the named dataset.
    #[error("{} is not laid out as {layout}: expected {expected}", .path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The dataset.
        layout: &'static str,
        /// The files its folder must hold.
        expected: &'static str,
    },
    /// A split that would leave one side empty, or a rule that does not fit the dataset.
    #[error("cannot split {} by {rule}: {reason}", .path.display())]
    Split {
        /// The dataset.
        path: PathBuf,
        /// The rule.
        rule: &'static str,
        /// Why it cannot be applied.
        reason: String,
    },
    /// Classes in both training and test set.
    #[error("train and test share {} of their classes: {}", .classes.len(), list(.classes))]
    ClassOverlap {
        /// Their names, in byte order.
        classes: Vec<String>,
    },
    /// An image that cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A pixel buffer that does not fit the stated width and height.
    #[error("an RGB image of {width} x {height} pixels cannot have {found_bytes} bytes (expected {})", u64::from(*.width) * u64::from(*.height) * 3)]
    ImageShape {
        /// Stated width in pixels.
        width: u32,
        /// Stated height in pixels.
        height: u32,
        /// Bytes given.
        found_bytes: usize,
    },
    /// A preprocessing or loader setting out of range.
    #[error("{part}: {field} is {found}, expected {expected}")]
    Setting {
        /// `preprocessing` or `loader`.
        part: &'static str,
        /// The setting.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A crop that does not lie inside its image.
    #[error("the crop {crop} is not inside the image of {width} x {height} pixels")]
    CropOutside {
        /// The crop.
        crop: CropBox,
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
    },
    /// An output slice of the wrong length.
    #[error("the output slice holds {found} numbers, expected {expected} (3 x side x side)")]
    OutputLength {
        /// Numbers needed.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A plan with an index beyond the dataset's end.
    #[error("batch {batch} asks for image {index} of a dataset of {len}")]
    IndexOutOfRange {
        /// Position of the batch in the plan.
        batch: usize,
        /// The index.
        index: usize,
        /// Images in the dataset.
        len: usize,
    },
    /// More unreadable images than the user allows.
    #[error(
        "{unreadable} of {total} images cannot be read (allowed: {allowed}); the first is {}: {first_reason}",
        .first.display()
    )]
    TooManyUnreadable {
        /// Distinct unreadable files so far.
        unreadable: usize,
        /// Images in the dataset.
        total: usize,
        /// How many may be unreadable.
        allowed: usize,
        /// The first one.
        first: PathBuf,
        /// What is wrong with it.
        first_reason: String,
    },
    /// A class of which every image is unreadable, so that there is no replacement.
    #[error("no image of class {class:?} can be read")]
    NoReadableImage {
        /// The class.
        class: String,
    },
    /// A loader thread that cannot be started, or that died before it delivered its batch.
    #[error("an image loading thread {reason}")]
    Thread {
        /// What happened.
        reason: String,
    },
}

impl DataError {
    pub(crate) fn setting(part: &'static str, field: &'static str, expected: &'static str, found: String) -> Self {
        Self::Setting { part, field, expected, found }
    }

    /// Advice for the user: one line to print after `hint:`.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound { .. } => "check the spelling; relative paths start at the current folder",
            Self::NoClasses { .. } => {
                "expected one folder per class, each with its images: DATA/CLASS/IMAGE.jpg, or DATA/train/CLASS/.. and DATA/test/CLASS/.."
            }
            Self::EmptyClasses { .. } => {
                "remove these folders or add images to them (jpg, jpeg, png, webp, bmp, tif, tiff, gif)"
            }
            Self::NoImages { .. } => "images are files ending in jpg, jpeg, png, webp, bmp, tif, tiff or gif",
            Self::MissingColumns { .. } => {
                "required: path (relative to the file), label, split (train or test); optional: is_query, is_gallery, x1, y1, x2, y2, group"
            }
            Self::Split { .. } => {
                "retrieval trains on some classes and tests on others; give at least two classes, or assign images with train/ and test/ folders or a CSV"
            }
            Self::ClassOverlap { .. } => {
                "testing on trained classes overstates quality on new ones; move each class to one side, or allow the overlap explicitly"
            }
            Self::Layout { .. } => "unpack the publisher's archive unchanged, and give its folder or the one above it",
            Self::TooManyUnreadable { .. } => "repair or remove these files; `kinsight audit` lists them all",
            Self::NoReadableImage { .. } => "repair or remove the files of this class",
            Self::Decode(error) => return error.fault.hint(),
            _ => return None,
        })
    }
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
