//! Datasets from folders: one folder a class, its pictures anywhere below.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Dataset, Item};
use crate::error::DataError;

/// Endings of picture files, compared without regard to case. Content is what decides how a file is decoded.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

impl Dataset {
    /// A folder of class folders: `root/CLASS/IMAGE.jpg`, at any depth below the class folder.
    ///
    /// Classes and files come in byte order of their names. Hidden entries (a leading dot) are ignored, symbolic links are
    /// followed except back into a folder that is being read, files that do not end in one of [`IMAGE_EXTENSIONS`] are
    /// ignored.
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::Io`], [`DataError::NoClasses`] without class folders, [`DataError::NoImages`]
    /// when none of them holds an image, [`DataError::EmptyClasses`] naming those that hold none.
    pub fn from_folder(root: &Path) -> Result<Self, DataError> {
        let entries = Entries::read(root)?;
        if entries.folders.is_empty() {
            return Err(DataError::NoClasses { path: root.to_owned(), loose_images: entries.images.len() });
        }
        let mut items = Vec::new();
        let mut class_names = Vec::with_capacity(entries.folders.len());
        let mut empty = Vec::new();
        for folder in &entries.folders {
            let label = class_names.len() as u32;
            let name = file_name(folder);
            let images = images_below(folder, vec![real_path(root)?])?;
            if images.is_empty() {
                empty.push(name.clone());
            }
            items.extend(images.into_iter().map(|path| Item::new(path, label)));
            class_names.push(name);
        }
        if items.is_empty() {
            return Err(DataError::NoImages { path: root.to_owned() });
        }
        if !empty.is_empty() {
            return Err(DataError::EmptyClasses { path: root.to_owned(), classes: empty });
        }
        Ok(Self { root: root.to_owned(), items, class_names })
    }
}

/// All picture files below `root` at any depth, in byte order of their paths. Links and hidden entries are treated as
/// by [`Dataset::from_folder`].
///
/// # Errors
/// [`DataError::NotFound`] or [`DataError::Io`], naming the folder.
pub fn image_files(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    images_below(root, Vec::new())
}

/// The images below `folder` in byte order, outside the folders `open` (real paths), which are being read already.
fn images_below(folder: &Path, mut open: Vec<PathBuf>) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    collect(folder, &mut open, &mut found)?;
    found.sort_by(|a, b| bytes(a).cmp(bytes(b)));
    Ok(found)
}

/// Adds the images below `folder` to `found`; `open` holds the real paths of the folders being read, outermost first.
fn collect(folder: &Path, open: &mut Vec<PathBuf>, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let real = real_path(folder)?;
    if open.contains(&real) {
        return Ok(());
    }
    open.push(real);
    let entries = Entries::read(folder)?;
    found.extend(entries.images);
    for inner in &entries.folders {
        collect(inner, open, found)?;
    }
    open.pop();
    Ok(())
}

/// What a folder holds, each list in byte order.
struct Entries {
    folders: Vec<PathBuf>,
    images: Vec<PathBuf>,
}

impl Entries {
    fn read(folder: &Path) -> Result<Self, DataError> {
        let mut entries = Self { folders: Vec::new(), images: Vec::new() };
        for entry in fs::read_dir(folder).map_err(|source| read_error(folder, source))? {
            let entry = entry.map_err(|source| read_error(folder, source))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let Ok(metadata) = fs::metadata(&path) else {
                // A link to nowhere. One that is named like an image counts as an image that cannot be read.
                if is_image_name(&path) {
                    entries.images.push(path);
                }
                continue;
            };
            if metadata.is_dir() {
                entries.folders.push(path);
            } else if metadata.is_file() && is_image_name(&path) {
                entries.images.push(path);
            }
        }
        entries.folders.sort_by(|a, b| bytes(a).cmp(bytes(b)));
        entries.images.sort_by(|a, b| bytes(a).cmp(bytes(b)));
        Ok(entries)
    }
}

fn real_path(folder: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(folder).map_err(|source| read_error(folder, source))
}

fn is_image_name(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The error of reading `path`: not there, or there and unreadable.
pub(super) fn read_error(path: &Path, source: std::io::Error) -> DataError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => DataError::NotFound { path },
        _ => DataError::Io { path, source },
    }
}
