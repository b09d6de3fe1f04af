//! Datasets from folders: one folder per class, with images at any depth.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Dataset, Item};
use crate::error::DataError;

/// Extensions of image files, in any case. How a file is decoded depends on its content alone.
const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

impl Dataset {
    /// A folder of class folders: `root/CLASS/IMAGE.jpg`, at any depth below the class folder.
    ///
    /// Classes and files are in byte order of their names. Hidden entries (with a leading dot) and files without an
    /// extension of images are ignored; symbolic links are followed, except into a folder that is being read.
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::Io`], [`DataError::NoClasses`] without class folders, [`DataError::NoImages`]
    /// if none of them holds an image, [`DataError::EmptyClasses`] if some hold none.
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

/// All image files below `root` at any depth, in byte order of their paths. Links and hidden entries are treated as in
/// [`Dataset::from_folder`].
///
/// # Errors
/// [`DataError::NotFound`] or [`DataError::Io`], naming the folder.
pub fn image_files(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    images_below(root, Vec::new())
}

/// The images below `folder` in byte order, except inside the folders `open` (real paths), which are being read.
fn images_below(folder: &Path, mut open: Vec<PathBuf>) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    collect(folder, &mut open, &mut found)?;
    sort(&mut found);
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

/// What a folder contains.
struct Entries {
    /// In byte order.
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
            // A broken link has no metadata. If it is named like an image, it is an image that cannot be read.
            let metadata = fs::metadata(&path).ok();
            if metadata.as_ref().is_some_and(fs::Metadata::is_dir) {
                entries.folders.push(path);
            } else if metadata.is_none_or(|metadata| metadata.is_file()) && is_image_name(&path) {
                entries.images.push(path);
            }
        }
        sort(&mut entries.folders);
        Ok(entries)
    }
}

fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
}

fn real_path(folder: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(folder).map_err(|source| read_error(folder, source))
}

fn is_image_name(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The error for `path`: it does not exist, or it cannot be read.
pub(super) fn read_error(path: &Path, source: std::io::Error) -> DataError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => DataError::NotFound { path },
        _ => DataError::Io { path, source },
    }
}
