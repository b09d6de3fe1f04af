//! Writes synthetic sets as folders of class folders, the layout that [`kinsight_data::Dataset::from_folder`] reads.
//!
//! A hidden marker file names the set, so that a second call keeps what is there, finishes what was interrupted, and
//! never mixes two sets or touches a folder of the user's.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use super::species::Species;
use super::{Film, SIZES_PX, Shot, SyntheticError, photograph, species_name};
use kinsight_data::RgbImage;
use kinsight_files::FileError;

/// Rises when the same numbers give other pictures, so that sets of an older renderer are not taken for new ones.
const RENDERER_VERSION: u32 = 1;

/// The marker file in the root of a set; hidden, so that datasets ignore it.
const MARKER: &str = ".synthetic-set";

/// Compression that leaves no visible artefacts at these sizes, at a third of PNG's bytes.
const JPEG_QUALITY: u8 = 92;

/// A synthetic set.
///
/// # Example
/// ```
/// use kinsight_synthetic::{Film, SPECIES_PER_GENUS, SyntheticSpec, write_folder};
///
/// let folder = tempfile::tempdir()?;
/// let spec = SyntheticSpec {
///     seed: 1,
///     classes: 0..SPECIES_PER_GENUS,
///     images_per_class: 2,
///     size_px: 32,
///     film: Film::Positive,
/// };
/// write_folder(&spec, folder.path(), |_| ())?;
/// assert_eq!(kinsight_data::Dataset::from_folder(folder.path())?.items.len(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticSpec {
    /// Decides everything about the instances and nothing about the species.
    pub seed: u64,
    /// Species ids, one class each.
    pub classes: Range<u32>,
    /// Images of each class, at least 1.
    pub images_per_class: u32,
    /// Width and height in pixels, within [`SIZES_PX`].
    pub size_px: u32,
    /// What the pictures are taken on.
    pub film: Film,
}

impl SyntheticSpec {
    /// Images of the whole set.
    pub fn total_images(&self) -> u64 {
        self.classes.len() as u64 * u64::from(self.images_per_class)
    }

    fn check(&self) -> Result<(), SyntheticError> {
        if self.total_images() == 0 {
            let (classes, images_per_class) = (self.classes.len(), self.images_per_class);
            return Err(SyntheticError::Empty { classes, images_per_class });
        }
        if !SIZES_PX.contains(&self.size_px) {
            return Err(SyntheticError::Size { found: self.size_px });
        }
        Ok(())
    }

    fn marker(&self) -> String {
        let Self { seed, classes, images_per_class, size_px, film } = self;
        format!(
            "butterflies {RENDERER_VERSION}, seed {seed}, species {}..{}, {images_per_class} each, {size_px} px, {film}\n",
            classes.start, classes.end
        )
    }
}

/// How far [`write_folder`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Images that are there, drawn or kept.
    pub done: u64,
    /// Images of the set.
    pub total: u64,
}

/// What [`write_folder`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Images drawn by this call.
    pub drawn: u64,
    /// Images that were there.
    pub kept: u64,
}

/// Writes the set as `dir/Genus-epithet/0000.jpg`, in parallel, and calls `progress` after each image, from any thread
/// and not always in order.
///
/// Images of the same set that are there already are kept, so an interrupted call is finished by another. Each file
/// appears whole or not at all.
///
/// # Errors
/// [`SyntheticError::Foreign`] and [`SyntheticError::OtherSet`] when `dir` holds anything else, before anything is
/// written; [`SyntheticError::Size`] and [`SyntheticError::Empty`] for a spec that cannot be drawn;
/// [`SyntheticError::File`] and [`SyntheticError::Encode`] name the file.
pub fn write_folder(
    spec: &SyntheticSpec,
    dir: &Path,
    progress: impl Fn(Progress) + Sync,
) -> Result<Written, SyntheticError> {
    spec.check()?;
    claim(spec, dir)?;
    let classes = spec.classes.clone().map(|id| Class::create(id, dir)).collect::<Result<Vec<_>, _>>()?;
    let (done, drawn, total) = (AtomicU64::new(0), AtomicU64::new(0), spec.total_images());
    let jobs = classes.par_iter().flat_map(|class| (0..spec.images_per_class).into_par_iter().map(move |i| (class, i)));
    jobs.try_for_each(|(class, instance)| {
        let path = class.folder.join(format!("{instance:04}.jpg"));
        if !is_there(&path)? {
            let shot = Shot { seed: spec.seed, species: class.id, instance };
            write_image(&photograph(&class.species, shot, spec.film, spec.size_px), &path)?;
            drawn.fetch_add(1, Ordering::Relaxed);
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Progress { done, total });
        Ok::<(), SyntheticError>(())
    })?;
    let drawn = drawn.into_inner();
    Ok(Written { drawn, kept: total - drawn })
}

/// A class and its folder.
struct Class {
    id: u32,
    species: Species,
    folder: PathBuf,
}

impl Class {
    fn create(id: u32, dir: &Path) -> Result<Self, SyntheticError> {
        let folder = dir.join(species_name(id));
        kinsight_files::create_dir_all(&folder)?;
        Ok(Self { id, species: Species::of(id), folder })
    }
}

/// Marks `dir` as this set's, or makes sure that it already is.
fn claim(spec: &SyntheticSpec, dir: &Path) -> Result<(), SyntheticError> {
    kinsight_files::create_dir_all(dir)?;
    let path = dir.join(MARKER);
    let expected = spec.marker();
    match fs::read(&path) {
        Ok(found) if found == expected.as_bytes() => Ok(()),
        Ok(found) => {
            let text = |marker: &str| marker.trim_end().to_owned();
            let (expected, found) = (text(&expected), text(&String::from_utf8_lossy(&found)));
            Err(SyntheticError::OtherSet { path: dir.to_owned(), expected, found })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::read_dir(dir).map_err(failed("read", dir))?.next().is_some() {
                return Err(SyntheticError::Foreign { path: dir.to_owned() });
            }
            Ok(kinsight_files::write(&path, expected.as_bytes())?)
        }
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Whether a finished image lies at `path`. An empty file is what a crash of the system can leave.
fn is_there(path: &Path) -> Result<bool, SyntheticError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn write_image(picture: &RgbImage, path: &Path) -> Result<(), SyntheticError> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(picture.pixels(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|source| SyntheticError::Encode { path: path.to_owned(), source })?;
    Ok(kinsight_files::write(path, &jpeg)?)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SyntheticError {
    move |source| FileError::at(action, path)(source).into()
}
