//! A whole embedding file: the rows, where each came from, and what it shows.

use std::path::{Path, PathBuf};

use kinsight_files::AtomicFile;

use super::npy::{NpyWriter, write_npy_labels};
use super::parquet::ParquetWriter;
use super::safetensors::SafetensorsWriter;
use super::{Ending, ending, format_error};
use crate::error::{Result, RetrievalError};

/// What belongs to the rows of an embedding file.
#[derive(Debug, Clone, Copy)]
pub struct RowFacts<'a> {
    /// Path of each row's image.
    pub paths: &'a [String],
    /// Label of each row, a position in `class_names`; empty where there are none.
    pub labels: &'a [i64],
    /// Name of each label.
    pub class_names: &'a [String],
}

impl RowFacts<'_> {
    /// Names of the texts that each row has.
    fn columns(&self) -> &'static [&'static str] {
        if self.labels.is_empty() { &["path"] } else { &["path", "label"] }
    }

    /// Path and label of a row.
    fn texts(&self, row: usize) -> [&str; 2] {
        [self.paths.get(row).map_or("", String::as_str), self.label_name(row)]
    }

    fn label_name(&self, row: usize) -> &str {
        let label = self.labels.get(row).and_then(|&label| usize::try_from(label).ok());
        label.and_then(|label| self.class_names.get(label)).map_or("", String::as_str)
    }
}

/// Writes rows of width `dim`, which come in chunks, with what belongs to them, and says which files it wrote.
///
/// `.parquet` holds everything. `.npy` and `.safetensors` come with `NAME.csv` of `path` and `label`; the numbers of
/// labels are in `NAME.labels.npy`, or in the tensor `labels`. The embedding file itself comes last.
///
/// # Errors
/// Another ending, counts that do not agree, and failures to write; what stood under the names stays then.
pub fn write_embeddings(
    path: &Path,
    dim: usize,
    chunks: impl Iterator<Item = Result<Vec<f32>>>,
    facts: &RowFacts<'_>,
) -> Result<Vec<PathBuf>> {
    let rows = facts.paths.len();
    if !facts.labels.is_empty() && facts.labels.len() != rows {
        return Err(RetrievalError::LabelCount { what: "embeddings", rows, labels: facts.labels.len() });
    }
    let mut written = Vec::new();
    match ending(path)? {
        Ending::Npy => {
            if !facts.labels.is_empty() {
                written.push(path.with_extension("labels.npy"));
                write_npy_labels(&path.with_extension("labels.npy"), facts.labels)?;
            }
            written.push(write_csv(path, facts)?);
            let mut writer = NpyWriter::create(path, dim)?;
            for chunk in chunks {
                writer.write_rows(&chunk?)?;
            }
            check_rows(writer.rows(), rows)?;
            writer.finish()?;
        }
        Ending::Safetensors => {
            written.push(write_csv(path, facts)?);
            let mut writer = SafetensorsWriter::create(path, rows, dim, facts.labels.to_vec(), facts.class_names)?;
            for chunk in chunks {
                writer.write_rows(&chunk?)?;
            }
            writer.finish()?;
        }
        Ending::Parquet => {
            let columns = facts.columns();
            let mut writer = ParquetWriter::create(path, dim, columns)?;
            let mut row = 0;
            for chunk in chunks {
                for values in chunk?.chunks_exact(dim) {
                    check_rows((row + 1).max(rows), rows)?;
                    writer.write_row(values, facts.texts(row).into_iter().take(columns.len()))?;
                    row += 1;
                }
            }
            check_rows(row, rows)?;
            writer.finish()?;
        }
    }
    written.push(path.to_owned());
    Ok(written)
}

/// Refuses a path that embeddings cannot be written to, before any work is done.
///
/// # Errors
/// An ending other than `.npy`, `.safetensors` or `.parquet`.
pub fn check_ending(path: &Path) -> Result<()> {
    ending(path).map(|_| ())
}

fn check_rows(rows: usize, expected: usize) -> Result<()> {
    if rows == expected {
        return Ok(());
    }
    Err(RetrievalError::LabelCount { what: "embeddings", rows, labels: expected })
}

fn write_csv(path: &Path, facts: &RowFacts<'_>) -> Result<PathBuf> {
    let target = path.with_extension("csv");
    let failed = |error: csv::Error| format_error(&target, format!("cannot be written ({error})"));
    let mut writer = csv::Writer::from_writer(AtomicFile::create(&target)?);
    let columns = facts.columns();
    writer.write_record(columns).map_err(failed)?;
    for row in 0..facts.paths.len() {
        writer.write_record(&facts.texts(row)[..columns.len()]).map_err(failed)?;
    }
    let file = writer.into_inner().map_err(|error| format_error(&target, format!("cannot be written ({error})")))?;
    file.commit()?;
    Ok(target)
}
