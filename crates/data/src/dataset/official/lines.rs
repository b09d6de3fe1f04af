//! Annotation lists: one image per line, fields separated by spaces.

use std::fs;
use std::path::Path;

use super::super::folder::read_error;
use crate::error::DataError;

/// One line of a list.
pub(super) struct Line<'a> {
    path: &'a Path,
    number: u64,
    pub text: String,
}

/// The lines of `path` that are not blank, starting with line `first` (counted from 1).
pub(super) fn lines(path: &Path, first: u64) -> Result<Vec<Line<'_>>, DataError> {
    let text = fs::read(path).map_err(|source| read_error(path, source))?;
    let text = String::from_utf8_lossy(&text);
    let numbered = (1..).zip(text.lines()).filter(|(number, line)| *number >= first && !line.trim().is_empty());
    Ok(numbered.map(|(number, line)| Line { path, number, text: line.trim().to_owned() }).collect())
}

impl Line<'_> {
    /// The fields, exactly `N`.
    pub fn fields<const N: usize>(&self) -> Result<[&str; N], DataError> {
        let fields: Vec<&str> = self.text.split_whitespace().collect();
        <[&str; N]>::try_from(fields)
            .map_err(|found| self.refuse(format!("{} fields, expected {N}: {:?}", found.len(), self.text)))
    }

    /// A field as a number.
    pub fn number(&self, field: &str) -> Result<u64, DataError> {
        field.parse().map_err(|_| self.refuse(format!("{field:?}, expected a number")))
    }

    /// An error about this line.
    pub fn refuse(&self, reason: String) -> DataError {
        DataError::CsvRow { path: self.path.to_owned(), line: self.number, reason }
    }
}
