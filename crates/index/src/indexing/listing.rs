//! Which images a user wants indexed: a folder, a CSV, or single files, and what is known of each before it is read.

use std::path::{Component, Path, PathBuf};

use kinsight_data::DataError;
use kinsight_data::dataset::image_files;

use crate::error::{IndexError, Result};
use crate::payload::{Payload, Value, fields};
use kinsight_files::FileError;

/// Images below one root.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The folder that paths start from, absolute.
    pub root: PathBuf,
    /// The images, in order.
    pub items: Vec<ListedImage>,
    /// Whether these are all images of the root, so that others that were indexed from it are gone.
    pub complete: bool,
}

/// One image.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedImage {
    /// The file.
    pub file: PathBuf,
    /// Root, path, label and columns; what only the file itself tells is missing.
    pub known: Payload,
}

impl Listing {
    /// All images of a folder, or of a CSV with a column `path`.
    ///
    /// The label of an image in a folder is the name of the folder directly below the root that it lies in; where the root
    /// is made up of `train` and `test`, the folder below those. A CSV's column `label` is the label, and all other columns
    /// become fields.
    ///
    /// # Errors
    /// [`IndexError::Data`] for a folder or CSV that cannot be read or holds no image, [`IndexError::Setting`] for a column
    /// with the name of a field that indexing sets.
    pub fn of(source: &Path) -> Result<Self> {
        let is_csv = source.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        let listing = if is_csv && source.is_file() { of_csv(source)? } else { of_folder(source)? };
        if listing.items.is_empty() {
            return Err(DataError::NoImages { path: source.to_owned() }.into());
        }
        Ok(listing)
    }

    /// Single image files; folders are expanded recursively. Images that are not listed stay in the index.
    ///
    /// `root` is the folder that paths start from; files outside it get their own folder as root.
    ///
    /// # Errors
    /// [`IndexError::Data`] for a path that does not exist or cannot be read.
    pub fn of_files(root: Option<&Path>, files: &[PathBuf], label: Option<&str>) -> Result<Vec<Self>> {
        let root = root.map(absolute).transpose()?;
        let mut listings: Vec<Self> = Vec::new();
        for path in files {
            let path = absolute(path)?;
            let inner = if path.is_dir() { image_files(&path)? } else { vec![path.clone()] };
            for file in inner {
                let own = if path.is_dir() { path.as_path() } else { file.parent().unwrap_or(Path::new("/")) };
                let root = root.as_deref().filter(|root| file.starts_with(root)).unwrap_or(own).to_owned();
                let mut item = ListedImage::new(&root, file, Payload::new());
                match label {
                    Some(label) => drop(item.known.insert(fields::LABEL.to_owned(), Value::from(label))),
                    None => item.label_by_folder(false),
                }
                match listings.iter_mut().find(|listing| listing.root == root) {
                    Some(listing) => listing.items.push(item),
                    None => listings.push(Self { root, items: vec![item], complete: false }),
                }
            }
        }
        Ok(listings)
    }
}

impl ListedImage {
    fn new(root: &Path, file: PathBuf, mut known: Payload) -> Self {
        let relative = relative_path(root, &file);
        let root = root.to_string_lossy().into_owned();
        known.insert(fields::ROOT.to_owned(), Value::from(root));
        known.insert(fields::PATH.to_owned(), Value::from(relative));
        Self { file, known }
    }

    /// Its path below the root.
    pub(super) fn path(&self) -> String {
        self.known.get(fields::PATH).map(Value::text).unwrap_or_default()
    }

    fn label_by_folder(&mut self, by_side: bool) {
        let Some(Value::Text(path)) = self.known.get(fields::PATH) else { return };
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        let label = folders.get(usize::from(by_side)).map(|label| Value::from(*label));
        self.known.extend(label.map(|label| (fields::LABEL.to_owned(), label)));
    }
}

fn of_folder(folder: &Path) -> Result<Listing> {
    let files = image_files(folder)?;
    let root = absolute(folder)?;
    let is_side = |path: &Path| {
        let first = path.strip_prefix(folder).ok().and_then(|path| path.components().next());
        matches!(first, Some(Component::Normal(name)) if name == "train" || name == "test")
    };
    let by_side = !files.is_empty() && files.iter().all(|path| is_side(path));
    let item = |file: PathBuf| {
        let file = file.strip_prefix(folder).map_or(file.clone(), |relative| root.join(relative));
        let mut item = ListedImage::new(&root, file, Payload::new());
        item.label_by_folder(by_side);
        item
    };
    Ok(Listing { items: files.into_iter().map(item).collect(), root, complete: true })
}

fn of_csv(path: &Path) -> Result<Listing> {
    let damaged = |source| IndexError::Data(DataError::Csv { path: path.to_owned(), source });
    let row_error = |line, reason: String| IndexError::Data(DataError::CsvRow { path: path.to_owned(), line, reason });
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(damaged)?;
    let header = reader.headers().map_err(damaged)?.clone();
    let Some(path_column) = header.iter().position(|name| name == fields::PATH) else {
        let found = header.iter().map(str::to_owned).collect();
        let missing = vec![fields::PATH.to_owned()];
        return Err(DataError::MissingColumns { path: path.to_owned(), missing, found }.into());
    };
    let reserved = |name: &&str| fields::ALL.contains(name) && ![fields::PATH, fields::LABEL].contains(name);
    if let Some(name) = header.iter().find(reserved) {
        let expected = "another name, because indexing sets this field itself; rename the column";
        return Err(IndexError::setting("a column's name", name, expected));
    }
    let root = absolute(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let mut items = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(damaged)?;
        let line = record.position().map_or(0, csv::Position::line);
        let relative = record.get(path_column).unwrap_or_default();
        let file = root.join(relative);
        if relative.is_empty() || !file.is_file() {
            return Err(row_error(line, format!("no such file: {}", file.display())));
        }
        // What is served and counted as gone is what lies below the root.
        let Some(file) = below(&root, &file) else {
            let (file, root) = (file.display(), root.display());
            let reason =
                format!("{file} is not in {root}, the folder of the CSV; put the CSV into a folder above all images");
            return Err(row_error(line, reason));
        };
        let cells = header.iter().zip(&record).enumerate().filter(|&(column, _)| column != path_column);
        let known = cells
            .filter(|(_, (_, cell))| !cell.is_empty())
            .map(|(_, (name, cell))| {
                let value = if name == fields::LABEL { Value::from(cell) } else { Value::of_cell(cell) };
                (name.to_owned(), value)
            })
            .collect();
        let item = ListedImage::new(&root, file, known);
        if let Some(first) = seen.insert(item.path(), line) {
            return Err(row_error(line, format!("{relative} is listed twice, first in line {first}")));
        }
        items.push(item);
    }
    Ok(Listing { root, items, complete: true })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::NotFound { path: path.to_owned() }.into(),
        _ => FileError::at("read", path)(source).into(),
    })
}

/// `file` without `..` and with its folder's links followed, if it is in `root`.
fn below(root: &Path, file: &Path) -> Option<PathBuf> {
    let plain = !file.components().any(|part| part == Component::ParentDir);
    let file = match plain && file.starts_with(root) {
        true => file.to_owned(),
        false => file.parent()?.canonicalize().ok()?.join(file.file_name()?),
    };
    file.starts_with(root).then_some(file)
}

/// `file` below `root` with `/` between its parts, on every system.
fn relative_path(root: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
