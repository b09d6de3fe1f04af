//! Labels of rows, from any of the file formats that hold them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Ending, ending, read_npy_labels, read_parquet_labels, read_safetensors_labels};
use super::{format_error, io_error};
use crate::error::Result;

/// Labels as numbers, and what the numbers are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelColumn {
    /// Label of each row.
    pub labels: Vec<i64>,
    /// Name of label 0, 1, ... where the file has names; empty otherwise.
    pub names: Vec<String>,
}

impl LabelColumn {
    /// What a label is called: its name, or the number itself.
    pub fn name(&self, label: i64) -> String {
        let name = usize::try_from(label).ok().and_then(|place| self.names.get(place));
        name.cloned().unwrap_or_else(|| label.to_string())
    }
}

/// Reads labels from `.npy`, `.safetensors` (tensor `column`), `.parquet` or `.csv` (column `column`, by default `label`).
///
/// # Errors
/// Another ending, a file that cannot be read, and no such column or tensor.
pub fn read_label_column(path: &Path, column: Option<&str>) -> Result<LabelColumn> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        return read_csv_labels(path, column.unwrap_or("label"));
    }
    let plain = |labels| LabelColumn { labels, names: Vec::new() };
    match ending(path)? {
        Ending::Npy => read_npy_labels(path).map(plain),
        Ending::Safetensors => read_safetensors_labels(path, column).map(plain),
        Ending::Parquet => read_parquet_labels(path, column),
    }
}

/// Where the labels of an embedding file are by default: in the file itself, or next to a `.npy` as
/// `NAME.labels.npy` or `NAME.csv`.
pub fn labels_beside(embeddings: &Path) -> Option<PathBuf> {
    match ending(embeddings) {
        Ok(Ending::Safetensors | Ending::Parquet) => Some(embeddings.to_owned()),
        _ => ["labels.npy", "csv"]
            .into_iter()
            .map(|ending| embeddings.with_extension(ending))
            .find(|candidate| candidate.is_file()),
    }
}

/// Texts as labels: numbered in the order of their bytes, or taken as they are where all of them are integers.
pub(super) fn number_names(texts: &[String]) -> LabelColumn {
    if let Ok(labels) = texts.iter().map(|text| text.parse()).collect::<Result<Vec<i64>, _>>() {
        return LabelColumn { labels, names: Vec::new() };
    }
    let names: Vec<String> = texts.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let label = |text: &String| names.binary_search(text).map_or(-1, |place| place as i64);
    LabelColumn { labels: texts.iter().map(label).collect(), names }
}

fn read_csv_labels(path: &Path, column: &str) -> Result<LabelColumn> {
    let file = std::fs::File::open(path).map_err(io_error("read", path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let malformed = |error: csv::Error| format_error(path, format!("not a readable CSV file ({error})"));
    let header = reader.headers().map_err(malformed)?.clone();
    let Some(place) = header.iter().position(|name| name == column) else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        return Err(format_error(path, format!("no column {column:?} in the header (found: {found})")));
    };
    let mut texts = Vec::new();
    for record in reader.records() {
        texts.push(record.map_err(malformed)?.get(place).unwrap_or_default().to_owned());
    }
    Ok(number_names(&texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbered_by_their_bytes_and_numbers_stay() {
        let texts = ["wren", "Auk", "wren", "jay"].map(str::to_owned);
        let column = number_names(&texts);
        assert_eq!((column.labels.clone(), column.names.len()), (vec![2, 0, 2, 1], 3));
        assert_eq!((column.name(1), column.name(7)), ("jay".to_owned(), "7".to_owned()));
        let numbers = ["10", "-2", "10"].map(str::to_owned);
        assert_eq!(number_names(&numbers).labels, [10, -2, 10]);
    }
}
