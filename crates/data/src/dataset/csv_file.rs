//! Datasets from a CSV or Parquet file: `path`, `label`, and what else is known of each picture.
//!
//! | column | holds |
//! |---|---|
//! | `path` | the picture, relative to the file |
//! | `label` | its class, any text; empty for a distractor: in the gallery, but nobody's right answer |
//! | `split` | `train` or `test` |
//! | `is_query`, `is_gallery` | whether a test picture asks and whether it answers; both where the columns are missing |
//! | `x1`, `y1`, `x2`, `y2` | the part of the picture that counts, in pixels; right and bottom edge excluded |
//! | `group` | pictures are measured within their group as well |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::protocol::{DISTRACTORS, Protocol, Role};
use super::table::{self, Table};
use super::{Dataset, Item};
use crate::error::DataError;
use crate::transform::CropBox;

/// The side of a split that a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Train,
    Test,
}

/// One row that was understood.
struct Row {
    path: PathBuf,
    /// `None` for a distractor.
    label: Option<String>,
    side: Option<Side>,
    role: Role,
    crop: Option<CropBox>,
    group: String,
}

const OTHER_COLUMNS: [&str; 7] = ["is_query", "is_gallery", "x1", "y1", "x2", "y2", "group"];

impl Dataset {
    /// A CSV (or Parquet) file with the columns `path` (relative to the file) and `label` (any text); boxes `x1,y1,x2,y2`
    /// are minded, other columns ignored. Items keep the order of the rows, classes come in byte order of their labels;
    /// rows without a label are left out.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`]; [`DataError::CsvRow`] with the line for an empty field, a file that does not exist or
    /// is listed twice; [`DataError::Csv`] for text that is no CSV; [`DataError::NoImages`] without rows.
    pub fn from_csv(path: &Path) -> Result<Self, DataError> {
        let mut rows = read(path, false)?;
        rows.retain(|row| row.label.is_some());
        if rows.is_empty() {
            return Err(DataError::NoImages { path: path.to_owned() });
        }
        Ok(gather(path, &rows))
    }
}

/// Train and test side of a CSV file, by its column `split`, and the protocol of the test side. Either may be empty.
pub(super) fn read_sides(path: &Path) -> Result<(Dataset, Dataset, Protocol), DataError> {
    let (mut train, test): (Vec<Row>, Vec<Row>) =
        read(path, true)?.into_iter().partition(|row| row.side == Some(Side::Train));
    train.retain(|row| row.label.is_some());
    Ok((gather(path, &train), gather(path, &test), protocol(&test)))
}

fn read(path: &Path, with_split: bool) -> Result<Vec<Row>, DataError> {
    let wanted: &[&str] = if with_split { &["path", "label", "split"] } else { &["path", "label"] };
    let table = Table::read(path, wanted, &OTHER_COLUMNS)?;
    let root = folder_of(path);
    let mut rows = Vec::new();
    let mut seen = BTreeMap::new();
    let roles_given = table.has("is_query") || table.has("is_gallery");
    for record in table.rows() {
        let (line, field) = (record.place, |name: &str| record.get(name));
        let refuse = |reason: String| DataError::CsvRow { path: path.to_owned(), line, reason };
        for name in wanted {
            // A picture without a label can only be one to get past.
            let is_distractor = *name == "label" && table.has("is_gallery");
            if field(name).is_empty() && !is_distractor {
                return Err(refuse(format!("the field {name:?} is empty")));
            }
        }
        let image = root.join(field("path"));
        if !image.is_file() {
            return Err(refuse(format!("no such file: {}", image.display())));
        }
        let crop = crop_of(&record).map_err(refuse)?;
        // A picture may come twice with different boxes: two things in one photo.
        if let Some(first) = seen.insert((image.clone(), crop.map(|c| (c.left, c.top, c.width, c.height))), line) {
            return Err(refuse(format!("{} is listed twice, first in line {first}", field("path"))));
        }
        let side = match with_split.then(|| field("split")) {
            None => None,
            Some("train") => Some(Side::Train),
            Some("test") => Some(Side::Test),
            Some(other) => return Err(refuse(format!("split is {other:?}, expected \"train\" or \"test\""))),
        };
        let label = Some(field("label").to_owned()).filter(|label| !label.is_empty());
        let flag = |name: &str| match field(name) {
            "" if table.has(name) => Ok(false),
            "" => Ok(true),
            "1" | "true" | "True" | "yes" => Ok(true),
            "0" | "false" | "False" | "no" => Ok(false),
            other => Err(refuse(format!("{name} is {other:?}, expected true or false"))),
        };
        let mut role = Role { query: flag("is_query")?, gallery: flag("is_gallery")? };
        if label.is_none() {
            role = Role { query: false, gallery: true };
        }
        if roles_given && side == Some(Side::Test) && !role.query && !role.gallery {
            return Err(refuse("a test picture that is neither query nor in the gallery".to_owned()));
        }
        rows.push(Row { path: image, label, side, role, crop, group: field("group").to_owned() });
    }
    if rows.is_empty() {
        return Err(DataError::NoImages { path: path.to_owned() });
    }
    Ok(rows)
}

/// The box of a row; none where all four fields are empty.
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

fn protocol(rows: &[Row]) -> Protocol {
    let mut protocol = Protocol::default();
    if rows.iter().any(|row| !(row.role.query && row.role.gallery)) {
        protocol.roles = rows.iter().map(|row| row.role).collect();
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row.group.as_str()).collect();
    if names.len() > 1 {
        let numbers: BTreeMap<&str, u32> = names.iter().copied().zip(0..).collect();
        protocol.groups = rows.iter().map(|row| numbers[row.group.as_str()]).collect();
        protocol.group_names = names.into_iter().map(str::to_owned).collect();
    }
    protocol
}

fn gather(csv: &Path, rows: &[Row]) -> Dataset {
    fn label(row: &Row) -> &str {
        row.label.as_deref().unwrap_or(DISTRACTORS)
    }
    let names: BTreeSet<&str> = rows.iter().map(label).collect();
    let labels: BTreeMap<&str, u32> = names.iter().copied().zip(0..).collect();
    let item = |row: &Row| Item { path: row.path.clone(), label: labels[label(row)], crop: row.crop };
    let items = rows.iter().map(item).collect();
    let class_names = names.into_iter().map(str::to_owned).collect();
    Dataset { root: folder_of(csv), items, class_names }
}

fn folder_of(csv: &Path) -> PathBuf {
    csv.parent().unwrap_or(Path::new("")).to_owned()
}
