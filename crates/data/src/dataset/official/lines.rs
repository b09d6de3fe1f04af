//! Annotation lists: one picture a line, fields parted by spaces.

use std::fs;
use std::path::Path;

use super::super::folder::read_error;
use crate::error::DataError;

/// The lines of `path` that are not blank, from line `first` (counted from 1) on, each with its number.
pub(super) fn lines(path: &Path, first: u64) -> Result<Vec<(u64, String)>, DataError> {
    let text = fs::read(path).map_err(|source| read_error(path, source))?;
    let text = String::from_utf8_lossy(&text);
    let numbered = (1..).zip(text.lines()).filter(|(number, line)| *number >= first && !line.trim().is_empty());
    Ok(numbered.map(|(number, line)| (number, line.trim().to_owned())).collect())
}

/// The fields of one line, exactly `N`.
pub(super) fn fields<'a, const N: usize>(path: &Path, number: u64, line: &'a str) -> Result<[&'a str; N], DataError> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    <[&str; N]>::try_from(fields)
        .map_err(|found| refuse(path, number, format!("{} fields, expected {N}: {line:?}", found.len())))
}

/// A field as a number.
pub(super) fn number(path: &Path, line: u64, field: &str) -> Result<u64, DataError> {
    field.parse().map_err(|_| refuse(path, line, format!("{field:?} is no number")))
}

pub(super) fn refuse(path: &Path, line: u64, reason: String) -> DataError {
    DataError::CsvRow { path: path.to_owned(), line, reason }
}
