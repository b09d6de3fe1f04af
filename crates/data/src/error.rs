//! What can go wrong between a path on disk and a batch of tensors, and what the user can do about it.

use std::path::PathBuf;

use crate::decode::DecodeError;

/// An error of this crate. [`DataError::hint`] says what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path the user named does not exist.
    #[error("no such file or folder: {}", .path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A file or folder exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A dataset folder holds no class folders.
    #[error("{} holds no class folders ({loose_images} images lie directly in it)", .path.display())]
    NoClasses {
        /// The dataset folder.
        path: PathBuf,
        /// Images found directly in it, where class folders were expected.
        loose_images: usize,
    },
    /// Class folders without a single image.
    #[error("no images in {} of the class folders of {}: {}", .classes.len(), .path.display(), list(.classes))]
    EmptyClasses {
        /// The dataset folder.
        path: PathBuf,
        /// Names of the empty classes.
        classes: Vec<String>,
    },
    /// A dataset without images.
    #[error("no images in {}", .path.display())]
    NoImages {
        /// The folder or CSV file.
        path: PathBuf,
    },
    /// A CSV file without a column that is needed.
    #[error("{}: no column {} in the header (found: {})", .path.display(), list(.missing), list(.found))]
    MissingColumns {
        /// The CSV file.
        path: PathBuf,
        /// Names of the missing columns.
        missing: Vec<String>,
        /// The header as found.
        found: Vec<String>,
    },
    /// A CSV file that is not well-formed.
    #[error("{}: not a readable CSV file", .path.display())]
    Csv {
        /// The CSV file.
        path: PathBuf,
        /// The parser's complaint, with its line.
        source: csv::Error,
    },
    /// A Parquet file that cannot be read.
    #[error("{}: not a readable Parquet file ({reason})", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's complaint.
        reason: String,
    },
    /// A folder that is not laid out as a known data set.
    #[error("{} is not laid out as {layout}: expected {expected}", .path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The data set.
        layout: &'static str,
        /// What its folder must hold.
        expected: &'static str,
    },
    /// An annotation file that cannot be understood.
    #[error("{}: {reason}", .path.display())]
    Annotation {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A CSV row whose content makes no sense.
    #[error("{}, line {line}: {reason}", .path.display())]
    CsvRow {
        /// The CSV file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong in it.
        reason: String,
    },
    /// A split that would leave one side without classes.
    #[error("cannot split {} by {rule}: {reason}", .path.display())]
    Split {
        /// The dataset.
        path: PathBuf,
        /// The rule in use.
        rule: &'static str,
        /// Why it cannot be applied.
        reason: String,
    },
    /// Classes that are both trained on and tested on.
    #[error("{} classes are in both train and test: {}", .classes.len(), list(.classes))]
    ClassOverlap {
        /// Their names, in byte order.
        classes: Vec<String>,
    },
    /// A picture that cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Pixels that do not fit the stated width and height.
    #[error("{found_bytes} bytes are no {width} x {height} RGB picture (expected {} bytes, at least one pixel)", u64::from(*.width) * u64::from(*.height) * 3)]
    ImageShape {
        /// Stated width in pixels.
        width: u32,
        /// Stated height in pixels.
        height: u32,
        /// Bytes given.
        found_bytes: usize,
    },
    /// Preprocessing settings out of range.
    #[error("preprocessing: {field} is {found}, expected {expected}")]
    Preprocess {
        /// The setting.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A loader setting out of range.
    #[error("loader: {field} is {found}, expected {expected}")]
    LoaderOption {
        /// The setting.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A crop box that does not lie inside its picture.
    #[error("crop of {crop_width} x {crop_height} at ({left}, {top}) is not inside a picture of {width} x {height}")]
    CropOutside {
        /// Left column of the box.
        left: u32,
        /// Top row of the box.
        top: u32,
        /// Width of the box.
        crop_width: u32,
        /// Height of the box.
        crop_height: u32,
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// An output slice of the wrong length.
    #[error("output slice holds {found} numbers, expected {expected} (3 x side x side)")]
    OutputLength {
        /// Numbers needed.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A plan that names an item the dataset does not have.
    #[error("batch {batch} asks for item {index} of a dataset of {len} items")]
    IndexOutOfRange {
        /// Position of the batch in the plan.
        batch: usize,
        /// The item asked for.
        index: usize,
        /// Items in the dataset.
        len: usize,
    },
    /// More of the dataset cannot be read than the user tolerates.
    #[error(
        "{unreadable} of {total} images cannot be read (allowed: {allowed}); the first is {}: {first_reason}",
        .first.display()
    )]
    TooManyUnreadable {
        /// Distinct files found unreadable so far.
        unreadable: usize,
        /// Items of the dataset.
        total: usize,
        /// The most that was allowed.
        allowed: usize,
        /// The first of them that was met.
        first: PathBuf,
        /// What is wrong with it.
        first_reason: String,
    },
    /// Every image of a class is unreadable, so none can stand in.
    #[error("no image of class {class:?} can be read")]
    NoReadableImage {
        /// The class.
        class: String,
    },
    /// A worker thread ended without handing over its batch.
    #[error("an image loading thread ended before batch {batch} was ready")]
    WorkerLost {
        /// The batch that is missing.
        batch: usize,
    },
    /// A worker thread could not be started.
    #[error("cannot start an image loading thread")]
    Spawn {
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl DataError {
    /// What the user can do, as one line for a `hint:` after the message; `None` where there is no advice.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound { .. } => "check the spelling, and that the path is relative to the current folder",
            Self::NoClasses { .. } => {
                "expected one folder per class, each with its images: DATA/CLASS/IMAGE.jpg, or DATA/train/CLASS/.. and DATA/test/CLASS/.."
            }
            Self::EmptyClasses { .. } => {
                "remove these folders or put images into them (jpg, jpeg, png, webp, bmp, tif, tiff, gif)"
            }
            Self::NoImages { .. } => "images are files ending in jpg, jpeg, png, webp, bmp, tif, tiff or gif",
            Self::MissingColumns { .. } => {
                "the columns are path,label,split (path relative to the file; split is train or test), and where wanted is_query,is_gallery,x1,y1,x2,y2,group"
            }
            Self::Split { .. } => {
                "retrieval is trained on some classes and measured on others; give at least two classes, or say which is which with train/ and test/ folders or a CSV"
            }
            Self::ClassOverlap { .. } => {
                "a test on trained classes overstates quality on new ones; move the classes to one side, or allow the overlap explicitly"
            }
            Self::Layout { .. } => "unpack the publisher's archive as it is, and give its folder or the one above it",
            Self::TooManyUnreadable { .. } => {
                "repair or remove these files, or allow a larger share of unreadable images"
            }
            Self::NoReadableImage { .. } => "repair or remove the files of this class",
            Self::Decode(error) => return error.fault.hint(),
            _ => return None,
        })
    }
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
