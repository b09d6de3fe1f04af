//! What can go wrong when synthetic pictures are drawn or written.

use std::path::PathBuf;

use super::SIZES_PX;

/// An error of [`super::render`] or [`super::write_folder`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A picture too small to show anything, or too large to draw.
    #[error("synthetic pictures are {} to {} pixels wide, found {found}", SIZES_PX.start(), SIZES_PX.end())]
    Size {
        /// The side asked for, pixels.
        found: u32,
    },
    /// A set without pictures.
    #[error("a synthetic set needs classes and images, found {classes} classes of {images_per_class} images")]
    Empty {
        /// Classes asked for.
        classes: usize,
        /// Images a class asked for.
        images_per_class: u32,
    },
    /// A folder that holds something else than a synthetic set.
    #[error("{} is not empty and holds no synthetic set", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds another synthetic set.
    #[error("{} holds another synthetic set; expected {expected:?}, found {found:?}", .path.display())]
    OtherSet {
        /// The folder.
        path: PathBuf,
        /// The marker of the set to be written.
        expected: String,
        /// The marker in the folder.
        found: String,
    },
    /// A file or folder that could not be read or written.
    #[error(transparent)]
    File(#[from] kinsight_files::FileError),
    /// A picture that could not be compressed.
    #[error("cannot encode {} as JPEG", .path.display())]
    Encode {
        /// The file it was meant for.
        path: PathBuf,
        /// The encoder's reason.
        source: image::ImageError,
    },
}

impl SyntheticError {
    /// What the user can do, as one line for a `hint:` after the message; `None` where there is no advice.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Foreign { .. } | Self::OtherSet { .. } => Some("choose another folder, or delete this one"),
            Self::File(error) => error.hint(),
            _ => None,
        }
    }
}
