//! Rows and named columns of text, from a CSV or a Parquet file.

use std::fs::File;
use std::path::Path;

use csv::{ReaderBuilder, Trim};
#[cfg(feature = "parquet")]
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};

use super::folder::read_error;
use crate::error::DataError;

/// Some columns of a file.
pub(super) struct Table {
    /// The wanted columns that the file has.
    columns: Vec<String>,
    /// Place of each row in the file (a line of a CSV), and its fields in the order of `columns`.
    rows: Vec<(u64, Vec<String>)>,
}

/// One row of a [`Table`].
pub(super) struct Row<'a> {
    /// Its place in the file: a line of a CSV, from 1.
    pub place: u64,
    columns: &'a [String],
    fields: &'a [String],
}

impl<'a> Row<'a> {
    /// A field by its column; a missing column reads as empty.
    pub fn get(&self, column: &str) -> &'a str {
        let found = self.columns.iter().position(|name| name == column);
        found.and_then(|place| self.fields.get(place)).map_or("", String::as_str)
    }
}

impl Table {
    /// Reads those of the columns `wanted` that are there; the `needed` ones must be.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`], [`DataError::Csv`], [`DataError::Parquet`], [`DataError::NotFound`].
    pub fn read(path: &Path, needed: &[&str], wanted: &[&str]) -> Result<Self, DataError> {
        if is_parquet(path) { Self::read_parquet(path, needed, wanted) } else { Self::read_csv(path, needed, wanted) }
    }

    /// Whether the file has a column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(place, fields)| Row { place: *place, columns: &self.columns, fields })
    }

    fn read_csv(path: &Path, needed: &[&str], wanted: &[&str]) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| read_error(path, source))?;
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
        let malformed = |source| DataError::Csv { path: path.to_owned(), source };
        let header: Vec<String> = reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
        let places = places(path, &header, needed, wanted)?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, places.iter().map(|&place| record.get(place).unwrap_or_default().to_owned()).collect()));
        }
        Ok(Self { columns: places.iter().map(|&place| header[place].clone()).collect(), rows })
    }

    #[cfg(not(feature = "parquet"))]
    fn read_parquet(path: &Path, _: &[&str], _: &[&str]) -> Result<Self, DataError> {
        let reason = "this build knows no Parquet; build it with `--features parquet`, or use a CSV".to_owned();
        Err(DataError::Parquet { path: path.to_owned(), reason })
    }

    #[cfg(feature = "parquet")]
    fn read_parquet(path: &Path, needed: &[&str], wanted: &[&str]) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| read_error(path, source))?;
        let malformed = |error: parquet::errors::ParquetError| DataError::Parquet {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let reader = SerializedFileReader::new(file).map_err(malformed)?;
        let schema = reader.metadata().file_metadata().schema();
        let header: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let places = places(path, &header, needed, wanted)?;
        let columns: Vec<String> = places.iter().map(|&place| header[place].clone()).collect();
        let fields = places.iter().map(|&place| schema.get_fields()[place].clone()).collect();
        // Only the wanted columns are decoded: a file may hold embeddings as well.
        let projection = parquet::schema::types::Type::group_type_builder(schema.name())
            .with_fields(fields)
            .build()
            .map_err(malformed)?;
        let mut rows = Vec::new();
        for (row, record) in (1..).zip(reader.get_row_iter(Some(projection)).map_err(malformed)?) {
            let record = record.map_err(malformed)?;
            let mut fields = vec![String::new(); columns.len()];
            for (name, field) in record.get_column_iter() {
                if let Some(place) = columns.iter().position(|column| column == name) {
                    fields[place] = text_of(field);
                }
            }
            rows.push((row, fields));
        }
        Ok(Self { columns, rows })
    }
}

/// Whether a path ends in `.parquet`.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

#[cfg(feature = "parquet")]
fn text_of(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        other => other.to_string(),
    }
}

fn places(path: &Path, header: &[String], needed: &[&str], wanted: &[&str]) -> Result<Vec<usize>, DataError> {
    let position = |name: &str| header.iter().position(|column| column == name);
    let missing: Vec<String> =
        needed.iter().filter(|name| position(name).is_none()).map(|&name| name.to_owned()).collect();
    if !missing.is_empty() {
        return Err(DataError::MissingColumns { path: path.to_owned(), missing, found: header.to_vec() });
    }
    Ok(needed.iter().chain(wanted).filter_map(|name| position(name)).collect())
}
