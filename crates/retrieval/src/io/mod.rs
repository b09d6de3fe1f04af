//! Embeddings and labels from files that other programs write, and embeddings back to them.
//!
//! Everything is streamed: a file is never held in memory along with the values read from it, and sizes a header claims are compared with
//! the file's before memory is taken for them.

mod journal;
mod labels;
mod npy;
mod npy_header;
mod parquet;
mod safetensors;
mod table;
mod values;

use std::io::Write;
use std::path::Path;

use kinsight_files::{AtomicFile, FileError};

pub use journal::EmbeddingJournal;
pub use labels::{LabelColumn, labels_beside, read_label_column};
pub use npy::{NpyWriter, read_npy_embeddings, read_npy_labels, write_npy_labels};
pub use parquet::{ParquetWriter, read_parquet_embeddings, read_parquet_labels};
pub use safetensors::{read_safetensors_embeddings, read_safetensors_labels};
pub use table::{RowFacts, check_ending, write_embeddings};

use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Reads embeddings from `.npy`, `.safetensors` or `.parquet`, told apart by the name's ending.
///
/// `tensor` names the tensor of a safetensors file or the column of a Parquet file; without it the file must hold a single
/// one that fits.
///
/// # Errors
/// Another ending, and the errors of [`read_npy_embeddings`], [`read_safetensors_embeddings`] or [`read_parquet_embeddings`].
pub fn read_embeddings(path: &Path, tensor: Option<&str>) -> Result<UnitEmbeddings> {
    match ending(path)? {
        Ending::Npy => read_npy_embeddings(path),
        Ending::Safetensors => read_safetensors_embeddings(path, tensor),
        Ending::Parquet => read_parquet_embeddings(path, tensor),
    }
}

/// Reads one integer label for each row from `.npy`, `.safetensors` or `.parquet`, told apart by the name's ending.
///
/// # Errors
/// As [`read_embeddings`].
pub fn read_labels(path: &Path, tensor: Option<&str>) -> Result<Vec<i64>> {
    match ending(path)? {
        Ending::Npy => read_npy_labels(path),
        Ending::Safetensors => read_safetensors_labels(path, tensor),
        Ending::Parquet => Ok(read_parquet_labels(path, tensor)?.labels),
    }
}

enum Ending {
    Npy,
    Safetensors,
    Parquet,
}

fn ending(path: &Path) -> Result<Ending> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => Ok(Ending::Npy),
        Some("safetensors") => Ok(Ending::Safetensors),
        Some("parquet") => Ok(Ending::Parquet),
        _ => Err(format_error(path, "unknown file type, expected a name ending in .npy, .safetensors or .parquet")),
    }
}

fn format_error(path: &Path, message: impl Into<String>) -> RetrievalError {
    RetrievalError::Format { path: path.to_owned(), message: message.into() }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RetrievalError {
    let path = path.to_owned();
    move |source| RetrievalError::Io { action, path, source }
}

/// Writes to a file that is not in its place yet.
fn append(file: &mut AtomicFile, target: &Path, bytes: &[u8]) -> Result<()> {
    Ok(file.write_all(bytes).map_err(FileError::at("write", target))?)
}

/// Normalizes what was read; a bad row is reported with the file it came from.
fn unit_rows(path: &Path, values: Vec<f32>, dim: usize) -> Result<UnitEmbeddings> {
    UnitEmbeddings::new(values, dim)
        .map_err(|source| RetrievalError::Content { path: path.to_owned(), source: Box::new(source) })
}
