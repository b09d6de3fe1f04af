//! Why a picture could not be decoded, with and without the path it came from.

use std::path::PathBuf;

/// An image file that could not be decoded.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode {}: {fault}", .path.display())]
pub struct DecodeError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it. Part of this error's own message, and therefore not its `source`.
    pub fault: DecodeFault,
}

/// What is wrong with the bytes of a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The file cannot be read at all.
    #[error("{0}")]
    Read(std::io::Error),
    /// A folder, pipe or device in place of a file.
    #[error("not a regular file")]
    NotAFile,
    /// Zero bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// More bytes than an accepted picture can have.
    #[error("the file has {found_bytes} bytes (allowed: {max_bytes})")]
    FileTooLarge {
        /// Size of the file.
        found_bytes: u64,
        /// Largest size accepted.
        max_bytes: u64,
    },
    /// The first bytes belong to no known image format.
    #[error("not an image of a known format")]
    UnknownFormat,
    /// A known format that is not decoded here, or an unusual kind of a supported one.
    #[error("{what} is not supported")]
    Unsupported {
        /// The format, or the unusual kind.
        what: String,
    },
    /// A declared width or height of zero.
    #[error("the header declares {width} x {height} pixels")]
    NoPixels {
        /// Declared width.
        width: u32,
        /// Declared height.
        height: u32,
    },
    /// A declared size over the limit. No pixel memory was asked for.
    #[error("the header declares {width} x {height} pixels (allowed: {max_pixels} in all)")]
    TooManyPixels {
        /// Declared width.
        width: u32,
        /// Declared height.
        height: u32,
        /// Largest product accepted.
        max_pixels: u64,
    },
    /// The data ends before the picture does.
    #[error("the {format} data ends before the picture does")]
    Truncated {
        /// The format.
        format: &'static str,
    },
    /// The data contradicts itself.
    #[error("corrupt {format} data: {reason}")]
    Corrupt {
        /// The format.
        format: &'static str,
        /// The decoder's complaint.
        reason: String,
    },
    /// A JPEG that passes over its pixels again and again.
    #[error("the JPEG has more than {most} scans")]
    TooManyScans {
        /// Most scans accepted.
        most: usize,
    },
    /// The box that is asked for lies beside the picture.
    #[error("its box lies outside of its {width} x {height} pixels")]
    BoxOutside {
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// The decoder itself failed on this file.
    #[error("the {format} decoder failed on this file")]
    DecoderFailed {
        /// The format.
        format: &'static str,
    },
}

impl DecodeFault {
    /// What the user can do, where there is advice to give.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty | Self::Truncated { .. } => "the file was probably not copied or downloaded completely",
            Self::UnknownFormat | Self::Unsupported { .. } => "convert it to JPEG or PNG",
            Self::TooManyScans { .. } => "save it again with any image program",
            Self::TooManyPixels { .. } | Self::FileTooLarge { .. } => {
                "scale the picture down, or raise the pixel limit"
            }
            _ => return None,
        })
    }
}
