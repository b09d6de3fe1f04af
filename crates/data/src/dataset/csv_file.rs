//! Datasets from a CSV file with the columns `path`, `label` and, for a split by it, `split`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::folder::read_error;
use super::{Dataset, Item};
use crate::error::DataError;

/// The side of a split that a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Train,
    Test,
}

/// One row that was understood.
struct Row {
    path: PathBuf,
    label: String,
    side: Option<Side>,
}

impl Dataset {
    /// A CSV file with a header and the columns `path` (relative to the CSV file) and `label` (any text); other columns are
    /// ignored. Items keep the order of the rows, classes come in byte order of their labels.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`]; [`DataError::CsvRow`] with the line for an empty field, a file that does not exist or
    /// is listed twice; [`DataError::Csv`] for text that is no CSV; [`DataError::NoImages`] without rows.
    pub fn from_csv(path: &Path) -> Result<Self, DataError> {
        Ok(gather(path, &read(path, false)?))
    }
}

/// Train and test side of a CSV file, by its column `split`. Either may be empty.
pub(super) fn read_sides(path: &Path) -> Result<(Dataset, Dataset), DataError> {
    let (train, test): (Vec<Row>, Vec<Row>) =
        read(path, true)?.into_iter().partition(|row| row.side == Some(Side::Train));
    Ok((gather(path, &train), gather(path, &test)))
}

fn read(path: &Path, with_split: bool) -> Result<Vec<Row>, DataError> {
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let malformed = |source| DataError::Csv { path: path.to_owned(), source };
    let header = reader.headers().map_err(malformed)?.clone();
    let wanted: &[&str] = if with_split { &["path", "label", "split"] } else { &["path", "label"] };
    let columns = find_columns(path, &header, wanted)?;
    let root = folder_of(path);
    let mut rows = Vec::new();
    let mut seen = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let refuse = |reason: String| DataError::CsvRow { path: path.to_owned(), line, reason };
        let field = |column: usize| record.get(columns[column]).unwrap_or_default();
        for (column, name) in wanted.iter().enumerate() {
            if field(column).is_empty() {
                return Err(refuse(format!("the field {name:?} is empty")));
            }
        }
        let image = root.join(field(0));
        if !image.is_file() {
            return Err(refuse(format!("no such file: {}", image.display())));
        }
        if let Some(first) = seen.insert(image.clone(), line) {
            return Err(refuse(format!("{} is listed twice, first in line {first}", field(0))));
        }
        let side = match with_split.then(|| field(2)) {
            None => None,
            Some("train") => Some(Side::Train),
            Some("test") => Some(Side::Test),
            Some(other) => return Err(refuse(format!("split is {other:?}, expected \"train\" or \"test\""))),
        };
        rows.push(Row { path: image, label: field(1).to_owned(), side });
    }
    if rows.is_empty() {
        return Err(DataError::NoImages { path: path.to_owned() });
    }
    Ok(rows)
}

fn find_columns(path: &Path, header: &StringRecord, wanted: &[&str]) -> Result<Vec<usize>, DataError> {
    let position = |name: &str| header.iter().position(|column| column == name);
    let missing: Vec<String> =
        wanted.iter().filter(|name| position(name).is_none()).map(|&name| name.to_owned()).collect();
    if !missing.is_empty() {
        let found = header.iter().map(str::to_owned).collect();
        return Err(DataError::MissingColumns { path: path.to_owned(), missing, found });
    }
    Ok(wanted.iter().filter_map(|name| position(name)).collect())
}

fn gather(csv: &Path, rows: &[Row]) -> Dataset {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    let labels: BTreeMap<&str, u32> = names.iter().zip(0..).map(|(&name, label)| (name, label)).collect();
    let items = rows.iter().map(|row| Item { path: row.path.clone(), label: labels[row.label.as_str()] }).collect();
    let class_names = names.into_iter().map(str::to_owned).collect();
    Dataset { root: folder_of(csv), items, class_names }
}

fn folder_of(csv: &Path) -> PathBuf {
    csv.parent().unwrap_or(Path::new("")).to_owned()
}
