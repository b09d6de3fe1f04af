//! Datasets from a CSV or Parquet file.
//!
//! | column | content |
//! |---|---|
//! | `path` | the image, relative to the file |
//! | `label` | its class, any text; empty for a distractor, which is in the gallery but relevant to no query |
//! | `split` | `train` or `test` |
//! | `is_query`, `is_gallery` | whether a test image is a query, and whether it can be found; both by default |
//! | `x1`, `y1`, `x2`, `y2` | the part of the image to use, in pixels; right and bottom edge excluded |
//! | `group` | results are also reported for each group |

use std::collections::BTreeMap;
use std::path::Path;

use super::Dataset;
use super::entry::{self, Entry};
use super::protocol::{DISTRACTORS, Protocol, Role};
use super::table::{self, Table};
use crate::crop_box::CropBox;
use crate::error::DataError;

/// A valid row.
struct Row {
    entry: Entry,
    trains: bool,
    is_distractor: bool,
}

const OPTIONAL_COLUMNS: [&str; 7] = ["is_query", "is_gallery", "x1", "y1", "x2", "y2", "group"];

impl Dataset {
    /// A CSV or Parquet file with the columns `path` (relative to the file) and `label` (any text), optionally with boxes
    /// `x1,y1,x2,y2`; other columns are ignored. Items are in the order of the rows, classes in byte order. Rows without a
    /// label are skipped.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`]; [`DataError::CsvRow`] with the line for an empty field, or a file that does not exist
    /// or is listed twice; [`DataError::Csv`] or [`DataError::Malformed`] for a file that cannot be parsed;
    /// [`DataError::NoImages`].
    pub fn from_csv(path: &Path) -> Result<Self, DataError> {
        let entries = labeled(read(path, false)?);
        if entries.is_empty() {
            return Err(DataError::NoImages { path: path.to_owned() });
        }
        Ok(entry::dataset(folder_of(path), &entries))
    }
}

/// Training and test set of a CSV file, by its column `split`, and the protocol of the test set. Either may be empty.
pub(super) fn read_sides(path: &Path) -> Result<(Dataset, Dataset, Protocol), DataError> {
    let (train, test): (Vec<Row>, Vec<Row>) = read(path, true)?.into_iter().partition(|row| row.trains);
    let test: Vec<Entry> = test.into_iter().map(|row| row.entry).collect();
    let root = folder_of(path);
    Ok((entry::dataset(root, &labeled(train)), entry::dataset(root, &test), entry::protocol(&test)))
}

fn labeled(rows: Vec<Row>) -> Vec<Entry> {
    rows.into_iter().filter(|row| !row.is_distractor).map(|row| row.entry).collect()
}

fn read(path: &Path, with_split: bool) -> Result<Vec<Row>, DataError> {
    let required: &[&str] = if with_split { &["path", "label", "split"] } else { &["path", "label"] };
    let table = Table::read(path, required, &OPTIONAL_COLUMNS)?;
    let mut rows = Vec::new();
    let mut seen = BTreeMap::new();
    let has_roles = table.has("is_query") || table.has("is_gallery");
    for record in table.rows() {
        let (line, field) = (record.line, |name: &str| record.get(name));
        let refuse = |reason: String| DataError::CsvRow { path: path.to_owned(), line, reason };
        for name in required {
            // In a file with a gallery an image without a label is a distractor.
            let may_be_empty = *name == "label" && table.has("is_gallery");
            if field(name).is_empty() && !may_be_empty {
                return Err(refuse(format!("the field {name:?} is empty")));
            }
        }
        let image = folder_of(path).join(field("path"));
        if !image.is_file() {
            return Err(refuse(format!("no such file: {}", image.display())));
        }
        let crop = crop_of(&record).map_err(refuse)?;
        // The same file with another box is another image: two objects in one photograph.
        if let Some(first) = seen.insert((image.clone(), crop), line) {
            return Err(refuse(format!("{} is listed twice, first in line {first}", field("path"))));
        }
        let trains = match field("split") {
            "train" => with_split,
            _ if !with_split => false,
            "test" => false,
            other => return Err(refuse(format!("split is {other:?}, expected \"train\" or \"test\""))),
        };
        let flag = |name: &str| match field(name) {
            "" => Ok(!table.has(name)),
            "1" | "true" | "True" | "yes" => Ok(true),
            "0" | "false" | "False" | "no" => Ok(false),
            other => Err(refuse(format!("{name} is {other:?}, expected true or false"))),
        };
        let (is_query, is_gallery) = (flag("is_query")?, flag("is_gallery")?);
        let is_distractor = field("label").is_empty();
        let role = Role { query: is_query && !is_distractor, gallery: is_gallery || is_distractor };
        if has_roles && with_split && !trains && !role.query && !role.gallery {
            return Err(refuse("a test image that is neither a query nor in the gallery".to_owned()));
        }
        let label = if is_distractor { DISTRACTORS } else { field("label") };
        let entry =
            Entry { path: image, class: (0, label.to_owned()), crop, role, group: Some(field("group").to_owned()) };
        rows.push(Row { entry, trains, is_distractor });
    }
    if rows.is_empty() {
        return Err(DataError::NoImages { path: path.to_owned() });
    }
    Ok(rows)
}

/// The box of a row; `None` where all four fields are empty.
fn crop_of(row: &table::Row<'_>) -> Result<Option<CropBox>, String> {
    let texts = ["x1", "y1", "x2", "y2"].map(|name| (name, row.get(name)));
    if texts.iter().all(|(_, text)| text.is_empty()) {
        return Ok(None);
    }
    let mut edges = [0_u32; 4];
    for (edge, (name, text)) in edges.iter_mut().zip(texts) {
        let value = text.parse::<f64>().ok().filter(|value| (0.0..=f64::from(u32::MAX)).contains(value));
        *edge = value.ok_or_else(|| format!("{name} is {text:?}, expected a number of pixels"))?.round() as u32;
    }
    let [left, top, right, bottom] = edges;
    if right <= left || bottom <= top {
        return Err(format!("the box ({left}, {top}) to ({right}, {bottom}) is empty"));
    }
    Ok(Some(CropBox { top, left, height: bottom - top, width: right - left }))
}

fn folder_of(csv: &Path) -> &Path {
    csv.parent().unwrap_or(Path::new(""))
}
