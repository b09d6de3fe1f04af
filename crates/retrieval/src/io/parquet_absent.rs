//! What stands in for Parquet in a build without the feature `parquet`: every use is an error that says so.

use std::path::Path;

use super::format_error;
use super::labels::LabelColumn;
use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

fn absent(path: &Path) -> RetrievalError {
    format_error(path, "this build knows no Parquet; build it with `--features parquet`, or use .npy or .safetensors")
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn read_parquet_embeddings(path: &Path, _column: Option<&str>) -> Result<UnitEmbeddings> {
    Err(absent(path))
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn read_parquet_labels(path: &Path, _column: Option<&str>) -> Result<LabelColumn> {
    Err(absent(path))
}

/// Cannot be made.
pub(super) enum ParquetWriter {}

impl ParquetWriter {
    pub fn create(path: &Path, _dim: usize, _labelled: bool) -> Result<Self> {
        Err(absent(path))
    }

    pub fn write_rows<'a>(&mut self, _: &[f32], _: &[String], _: impl Iterator<Item = &'a str>) -> Result<()> {
        match *self {}
    }

    pub fn finish(self) -> Result<()> {
        match self {}
    }
}
