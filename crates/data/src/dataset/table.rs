//! Rows with named columns of text, from a CSV or Parquet file.

use std::fs::File;
use std::path::Path;

use csv::{ReaderBuilder, Trim};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::folder::read_error;
use crate::error::DataError;

/// Some columns of a file.
pub(super) struct Table {
    columns: Vec<String>,
    /// Line of each row, and its fields in the order of `columns`.
    rows: Vec<(u64, Vec<String>)>,
}

/// One row of a [`Table`].
pub(super) struct Row<'a> {
    /// Line in a CSV file, row in a Parquet file, from 1.
    pub line: u64,
    columns: &'a [String],
    fields: &'a [String],
}

impl<'a> Row<'a> {
    /// A field by its column; empty if the column is missing.
    pub fn get(&self, column: &str) -> &'a str {
        let found = self.columns.iter().position(|name| name == column);
        found.and_then(|place| self.fields.get(place)).map_or("", String::as_str)
    }
}

impl Table {
    /// Reads the `required` columns, and those of the `optional` ones that the file has.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`], [`DataError::Csv`], [`DataError::Malformed`] for Parquet, [`DataError::NotFound`].
    pub fn read(path: &Path, required: &[&str], optional: &[&str]) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| read_error(path, source))?;
        let places = |header: &[String]| places(path, header, required, optional);
        if !is_parquet(path) {
            return Self::read_csv(file, places, |source| DataError::Csv { path: path.to_owned(), source });
        }
        Self::read_parquet(file, places, |error| {
            let reason = format!("not a readable Parquet file ({error})");
            DataError::Malformed { path: path.to_owned(), reason }
        })
    }

    /// Whether the file has a column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, fields)| Row { line: *line, columns: &self.columns, fields })
    }

    fn read_csv(
        file: File,
        places: impl Fn(&[String]) -> Result<Vec<usize>, DataError>,
        malformed: impl Fn(csv::Error) -> DataError,
    ) -> Result<Self, DataError> {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
        let header: Vec<String> = reader.headers().map_err(&malformed)?.iter().map(str::to_owned).collect();
        let places = places(&header)?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(&malformed)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, places.iter().map(|&place| record.get(place).unwrap_or_default().to_owned()).collect()));
        }
        Ok(Self { columns: places.iter().map(|&place| header[place].clone()).collect(), rows })
    }

    fn read_parquet(
        file: File,
        places: impl Fn(&[String]) -> Result<Vec<usize>, DataError>,
        malformed: impl Fn(parquet::errors::ParquetError) -> DataError,
    ) -> Result<Self, DataError> {
        let reader = SerializedFileReader::new(file).map_err(&malformed)?;
        let schema = reader.metadata().file_metadata().schema();
        let header: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let places = places(&header)?;
        let columns: Vec<String> = places.iter().map(|&place| header[place].clone()).collect();
        // Only these columns are decoded: the file may hold embeddings as well.
        let projection = parquet::schema::types::Type::group_type_builder(schema.name())
            .with_fields(places.iter().map(|&place| schema.get_fields()[place].clone()).collect())
            .build()
            .map_err(&malformed)?;
        let mut rows = Vec::new();
        for (line, record) in (1..).zip(reader.get_row_iter(Some(projection)).map_err(&malformed)?) {
            let record = record.map_err(&malformed)?;
            let mut fields = vec![String::new(); columns.len()];
            for (name, field) in record.get_column_iter() {
                if let Some(place) = columns.iter().position(|column| column == name) {
                    fields[place] = text_of(field);
                }
            }
            rows.push((line, fields));
        }
        Ok(Self { columns, rows })
    }
}

/// Whether a path ends in `.parquet`.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

fn text_of(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        other => other.to_string(),
    }
}

fn places(path: &Path, header: &[String], required: &[&str], optional: &[&str]) -> Result<Vec<usize>, DataError> {
    let position = |name: &&str| header.iter().position(|column| column == name);
    let missing: Vec<String> =
        required.iter().filter(|name| position(name).is_none()).map(|&name| name.to_owned()).collect();
    if !missing.is_empty() {
        return Err(DataError::MissingColumns { path: path.to_owned(), missing, found: header.to_vec() });
    }
    Ok(required.iter().chain(optional).filter_map(position).collect())
}
