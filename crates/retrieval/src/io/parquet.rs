//! Parquet: one row an embedding, in the column `embedding`, with columns of text (`path`, `label`) before it.
//!
//! What pandas, polars, DuckDB and Spark read and write. The column of embeddings is a list of numbers a row; labels are
//! integers or text, and text is numbered in the order of its bytes. Rows are read and written in groups, so the
//! file is never in memory along with its values. Pages may be plain or compressed by Snappy, the writers' usual choices.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinsight_files::AtomicFile;
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::labels::{LabelColumn, number_names};
use super::{format_error, io_error, unit_rows};
use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Rows of a group: some tens of megabytes of values.
const GROUP_ROWS: usize = 1 << 14;

/// Numbers read in one go.
const CHUNK: usize = 1 << 16;

/// Reads the column of embeddings called `column`, or the only one that holds a list of floating-point numbers a row.
///
/// # Errors
/// A file that cannot be read or is not Parquet; no such column, or none or several to choose from without a name; rows of
/// different widths; a row without a direction.
pub fn read_parquet_embeddings(path: &Path, column: Option<&str>) -> Result<UnitEmbeddings> {
    let reader = open(path)?;
    let place = embedding_column(path, &reader, column)?;
    let rows = row_count(path, &reader)?;
    // A footer can claim anything. Values that compress well are more than their bytes, and then the list grows.
    let most_reserved = std::fs::metadata(path).map_err(io_error("read", path))?.len() as usize / size_of::<f32>();
    let mut lists = Lists { dim: None, filled: 0, values: Vec::new(), rows, most_reserved };
    for group in 0..reader.num_row_groups() {
        let column = column_reader(path, &reader, group, place)?;
        match column {
            ColumnReader::FloatColumnReader(mut column) => lists.take(path, &mut column, |value| value)?,
            ColumnReader::DoubleColumnReader(mut column) => lists.take(path, &mut column, |value: f64| value as f32)?,
            _ => return Err(format_error(path, "the embeddings are not floating-point numbers")),
        }
    }
    lists.end_row(path)?;
    let Some(dim) = lists.dim else { return Err(format_error(path, "no rows")) };
    if lists.values.len() != rows * dim {
        let found = lists.values.len() / dim;
        return Err(format_error(path, format!("the footer says {rows} rows, found {found}")));
    }
    unit_rows(path, lists.values, dim)
}

/// Reads one label for each row from `column`, `label` if it is not named: integers, or text.
///
/// # Errors
/// As [`read_parquet_embeddings`]; a label that is missing.
pub fn read_parquet_labels(path: &Path, column: Option<&str>) -> Result<LabelColumn> {
    let name = column.unwrap_or("label");
    let Some(text) = read_scalar_column(path, name)? else {
        return Err(format_error(path, format!("no column {name:?} of integers or text")));
    };
    Ok(text)
}

/// The columns of a file, each with the kind of its values.
fn read_scalar_column(path: &Path, name: &str) -> Result<Option<LabelColumn>> {
    let reader = open(path)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let found = (0..schema.num_columns()).find(|&place| {
        let column = schema.column(place);
        column.max_rep_level() == 0
            && column.path().string() == name
            && matches!(column.physical_type(), Physical::INT32 | Physical::INT64 | Physical::BYTE_ARRAY)
    });
    let Some(place) = found else { return Ok(None) };
    let rows = row_count(path, &reader)?;
    let missing = |count: usize| format_error(path, format!("column {name:?} has {count} values in {rows} rows"));
    let mut numbers: Vec<i64> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for group in 0..reader.num_row_groups() {
        match column_reader(path, &reader, group, place)? {
            ColumnReader::Int32ColumnReader(mut column) => {
                read_scalars(path, &mut column, |value: &i32| numbers.push(i64::from(*value)))?;
            }
            ColumnReader::Int64ColumnReader(mut column) => {
                read_scalars(path, &mut column, |value: &i64| numbers.push(*value))?;
            }
            ColumnReader::ByteArrayColumnReader(mut column) => read_scalars(path, &mut column, |value: &ByteArray| {
                names.push(String::from_utf8_lossy(value.data()).into_owned());
            })?,
            _ => return Ok(None),
        }
    }
    if numbers.len().max(names.len()) != rows {
        return Err(missing(numbers.len().max(names.len())));
    }
    Ok(Some(if names.is_empty() { LabelColumn { labels: numbers, names: Vec::new() } } else { number_names(&names) }))
}

fn read_scalars<T: DataType>(path: &Path, column: &mut ColumnReaderImpl<T>, mut take: impl FnMut(&T::T)) -> Result<()> {
    let (mut definitions, mut values) = (Vec::new(), Vec::new());
    loop {
        definitions.clear();
        values.clear();
        let (records, _, _) =
            column.read_records(CHUNK, Some(&mut definitions), None, &mut values).map_err(parquet_error(path))?;
        if records == 0 {
            return Ok(());
        }
        values.iter().for_each(&mut take);
    }
}

/// Rows of lists, joined to `[rows, dim]`.
struct Lists {
    dim: Option<usize>,
    /// Values of the row that is being read.
    filled: usize,
    values: Vec<f32>,
    rows: usize,
    most_reserved: usize,
}

impl Lists {
    fn take<T: DataType>(
        &mut self,
        path: &Path,
        column: &mut ColumnReaderImpl<T>,
        value: impl Fn(T::T) -> f32,
    ) -> Result<()>
    where
        T::T: Copy,
    {
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        // A record is a whole row, which may be thousands of values long.
        let records = (CHUNK / self.dim.unwrap_or(512)).max(1);
        loop {
            definitions.clear();
            repetitions.clear();
            values.clear();
            let (read, count, levels) = column
                .read_records(records, Some(&mut definitions), Some(&mut repetitions), &mut values)
                .map_err(parquet_error(path))?;
            if read == 0 && levels == 0 {
                return Ok(());
            }
            if count != levels {
                let row = self.values.len() / self.dim.unwrap_or(1).max(1);
                return Err(format_error(path, format!("a row at or shortly after {row} is missing or has a null")));
            }
            for (&repetition, &number) in repetitions.iter().zip(&values) {
                if repetition == 0 {
                    self.end_row(path)?;
                }
                self.values.push(value(number));
                self.filled += 1;
            }
        }
    }

    /// The row that was being read is complete.
    fn end_row(&mut self, path: &Path) -> Result<()> {
        let width = std::mem::take(&mut self.filled);
        match self.dim {
            _ if width == 0 => Ok(()),
            None => {
                self.dim = Some(width);
                // One allocation instead of many.
                let others = self.rows.saturating_sub(1).saturating_mul(width);
                self.values.reserve_exact(others.min(self.most_reserved));
                Ok(())
            }
            Some(dim) if dim == width => Ok(()),
            Some(dim) => {
                let row = (self.values.len() - width) / dim;
                Err(format_error(path, format!("row {row} has {width} values, the first one has {dim}")))
            }
        }
    }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(io_error("read", path))?;
    SerializedFileReader::new(file).map_err(parquet_error(path))
}

fn row_count(path: &Path, reader: &SerializedFileReader<File>) -> Result<usize> {
    let rows = reader.metadata().file_metadata().num_rows();
    match usize::try_from(rows) {
        Ok(rows) if rows <= u32::MAX as usize => Ok(rows),
        _ => Err(format_error(path, format!("{rows} rows"))),
    }
}

fn column_reader(
    path: &Path,
    reader: &SerializedFileReader<File>,
    group: usize,
    column: usize,
) -> Result<ColumnReader> {
    reader.get_row_group(group).and_then(|group| group.get_column_reader(column)).map_err(parquet_error(path))
}

fn embedding_column(path: &Path, reader: &SerializedFileReader<File>, name: Option<&str>) -> Result<usize> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let top = |place: usize| schema.column(place).path().parts().first().cloned().unwrap_or_default();
    let lists: Vec<usize> = (0..schema.num_columns())
        .filter(|&place| {
            let column = schema.column(place);
            column.max_rep_level() == 1 && matches!(column.physical_type(), Physical::FLOAT | Physical::DOUBLE)
        })
        .filter(|&place| name.is_none_or(|name| top(place) == name))
        .collect();
    match (&lists[..], name) {
        ([only], _) => Ok(*only),
        ([], Some(name)) => Err(format_error(path, format!("no column {name:?} of lists of floating-point numbers"))),
        ([], None) => Err(format_error(path, "no column of lists of floating-point numbers")),
        _ => {
            let names: Vec<String> = lists.iter().map(|&place| top(place)).collect();
            Err(format_error(path, format!("there are several columns; name one of {}", names.join(", "))))
        }
    }
}

/// What the reader complains about, in our words and its own.
fn parquet_error(path: &Path) -> impl Fn(ParquetError) -> RetrievalError {
    move |error| match error {
        ParquetError::NYI(what) => {
            format_error(path, format!("{what} is not supported; rewrite the file with compression \"snappy\" or none"))
        }
        other => format_error(path, format!("not a readable Parquet file ({other})")),
    }
}

/// Writes rows one batch after another; the file appears under its name when [`finish`](Self::finish) returns.
pub struct ParquetWriter {
    file: SerializedFileWriter<AtomicFile>,
    path: PathBuf,
    dim: usize,
    values: Vec<f32>,
    /// The texts of each column.
    texts: Vec<Vec<ByteArray>>,
}

impl ParquetWriter {
    /// Starts a file of rows of width `dim` with the text columns `columns` before the column `embedding`.
    ///
    /// # Errors
    /// A folder that cannot be written to; a column called `embedding`, or two of one name.
    pub fn create(path: &Path, dim: usize, columns: &[&str]) -> Result<Self> {
        for (place, name) in columns.iter().enumerate() {
            if *name == "embedding" || columns[..place].contains(name) {
                return Err(format_error(path, format!("two columns are named {name:?}")));
            }
        }
        let schema = schema(dim, columns).map_err(parquet_error(path))?;
        let element = ColumnPath::from(vec!["embedding".to_owned(), "list".to_owned(), "element".to_owned()]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // Embeddings neither repeat nor compress.
            .set_column_dictionary_enabled(element.clone(), false)
            .set_column_compression(element, Compression::UNCOMPRESSED)
            .build();
        let file = SerializedFileWriter::new(AtomicFile::create(path)?, Arc::new(schema), Arc::new(properties))
            .map_err(parquet_error(path))?;
        Ok(Self { file, path: path.to_owned(), dim, values: Vec::new(), texts: vec![Vec::new(); columns.len()] })
    }

    /// Appends one row: `[dim]` values and a text for each column, in order.
    ///
    /// # Errors
    /// Another number of values or texts than the file has; a failure to write.
    pub fn write_row<'a>(&mut self, values: &[f32], texts: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.values.extend_from_slice(values);
        let mut texts = texts.into_iter();
        let written = self.texts.iter_mut().zip(&mut texts).map(|(column, text)| column.push(text.into())).count();
        if values.len() != self.dim || written != self.texts.len() || texts.next().is_some() {
            return Err(format_error(&self.path, "a row that does not fit its columns"));
        }
        if self.values.len() / self.dim >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// A failure to write or to rename.
    pub fn finish(mut self) -> Result<()> {
        self.write_group()?;
        let path = self.path;
        Ok(self.file.into_inner().map_err(parquet_error(&path))?.commit()?)
    }

    fn write_group(&mut self) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let mut write = || -> Result<(), ParquetError> {
            let mut group = self.file.next_row_group()?;
            for texts in &self.texts {
                if let Some(mut column) = group.next_column()? {
                    column.typed::<ByteArrayType>().write_batch(texts, None, None)?;
                    column.close()?;
                }
            }
            if let Some(mut column) = group.next_column()? {
                let definitions = vec![1_i16; self.dim];
                let mut repetitions = vec![1_i16; self.dim];
                repetitions[0] = 0;
                for row in self.values.chunks_exact(self.dim) {
                    column.typed::<FloatType>().write_batch(row, Some(&definitions), Some(&repetitions))?;
                }
                column.close()?;
            }
            group.close()?;
            Ok(())
        };
        write().map_err(parquet_error(&self.path))?;
        self.values.clear();
        self.texts.iter_mut().for_each(Vec::clear);
        Ok(())
    }
}

/// Text columns, and a list of numbers a row.
fn schema(dim: usize, columns: &[&str]) -> Result<Type, ParquetError> {
    if dim == 0 {
        return Err(ParquetError::General("embeddings of width 0".into()));
    }
    let required = Repetition::REQUIRED;
    let text = |name: &&str| -> Result<Arc<Type>, ParquetError> {
        let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_repetition(required);
        Ok(Arc::new(column.with_converted_type(ConvertedType::UTF8).build()?))
    };
    let element = Type::primitive_type_builder("element", Physical::FLOAT).with_repetition(required).build()?;
    let list = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
    let list = list.with_fields(vec![Arc::new(element)]).build()?;
    let embedding = Type::group_type_builder("embedding").with_repetition(required);
    let embedding = embedding.with_converted_type(ConvertedType::LIST).with_fields(vec![Arc::new(list)]).build()?;
    let mut fields = columns.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    fields.push(Arc::new(embedding));
    Type::group_type_builder("embeddings").with_fields(fields).build()
}
