//! safetensors: a tensor of embeddings `[n, dim]` or of labels `[n]`, by name or as the only one that fits.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kinsight_files::AtomicFile;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::values::{Kind, read_floats, read_integers};
use super::{append, format_error, io_error, unit_rows};
use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Longest header that is believed, the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads embeddings from a tensor of two dimensions in `f32`, `f16`, `bf16` or `f64`.
///
/// # Errors
/// A file that cannot be read, is not safetensors or is cut off; no such tensor, or none or several to choose from without a
/// name; another shape or type; a row without a direction.
pub fn read_safetensors_embeddings(path: &Path, tensor: Option<&str>) -> Result<UnitEmbeddings> {
    let (info, kind, mut reader) = open(path, tensor, 2)?;
    let dim = info.shape[1];
    let values = read_floats(path, &mut reader, kind, info.shape[0] * dim)?;
    unit_rows(path, values, dim)
}

/// Reads labels from a tensor of one dimension of any integer type.
///
/// # Errors
/// As [`read_safetensors_embeddings`].
pub fn read_safetensors_labels(path: &Path, tensor: Option<&str>) -> Result<Vec<i64>> {
    let (info, kind, mut reader) = open(path, tensor, 1)?;
    read_integers(path, &mut reader, kind, info.shape[0])
}

/// Writes the tensors `embeddings` `[n, dim]` in `f32` and, where there are labels, `labels` `[n]` in `i64`, one batch of
/// rows after another.
///
/// The format wants all sizes first, so the number of rows must be known. The file appears under its name when
/// [`finish`](Self::finish) returns.
pub(super) struct SafetensorsWriter {
    file: AtomicFile,
    path: PathBuf,
    labels: Vec<i64>,
    dim: usize,
    expected: usize,
    rows: usize,
}

impl SafetensorsWriter {
    /// Starts a file of `rows` rows with these labels (none, or one for each row).
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn create(path: &Path, rows: usize, dim: usize, labels: Vec<i64>, class_names: &[String]) -> Result<Self> {
        let row_bytes = rows * dim * size_of::<f32>();
        let mut header = serde_json::Map::new();
        if !class_names.is_empty() {
            let names = serde_json::Value::from(class_names.to_vec()).to_string();
            header.insert("__metadata__".into(), serde_json::json!({ "class_names": names }));
        }
        header.insert(
            "embeddings".into(),
            serde_json::json!({ "dtype": "F32", "shape": [rows, dim], "data_offsets": [0, row_bytes] }),
        );
        if !labels.is_empty() {
            let end = row_bytes + rows * size_of::<i64>();
            let labels = serde_json::json!({ "dtype": "I64", "shape": [rows], "data_offsets": [row_bytes, end] });
            header.insert("labels".into(), labels);
        }
        let mut text = serde_json::Value::Object(header).to_string();
        // Readers that map the file want the values aligned.
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let mut file = AtomicFile::create(path)?;
        append(&mut file, path, &(text.len() as u64).to_le_bytes())?;
        append(&mut file, path, text.as_bytes())?;
        Ok(Self { file, path: path.to_owned(), labels, dim, expected: rows, rows: 0 })
    }

    /// Appends `[n, dim]` values.
    ///
    /// # Errors
    /// A failure to write.
    pub fn write_rows(&mut self, values: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.rows += values.len() / self.dim;
        append(&mut self.file, &self.path, &bytes)
    }

    /// Appends the labels and puts the file in its place.
    ///
    /// # Errors
    /// Another number of rows than was announced; a failure to write or to rename.
    pub fn finish(mut self) -> Result<()> {
        if self.rows != self.expected {
            return Err(RetrievalError::LabelCount { what: "embeddings", rows: self.rows, labels: self.expected });
        }
        let bytes: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        append(&mut self.file, &self.path, &bytes)?;
        Ok(self.file.commit()?)
    }
}

/// The tensor of `dimensions` dimensions and a reader at its first value.
fn open(path: &Path, name: Option<&str>, dimensions: usize) -> Result<(TensorInfo, Kind, BufReader<File>)> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let file_bytes = file.metadata().map_err(io_error("read", path))?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(|_| format_error(path, "not a safetensors file: under 8 bytes long"))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > LONGEST_HEADER.min(file_bytes.saturating_sub(8)) {
        let message =
            format!("not a safetensors file, or cut off: a header of {header_bytes} bytes in a file of {file_bytes}");
        return Err(format_error(path, message));
    }
    let mut header = vec![0; header_bytes as usize];
    reader.read_exact(&mut header).map_err(io_error("read", path))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| format_error(path, format!("not a safetensors file: its header is invalid ({error})")))?;

    let (name, info) = choose(path, &metadata, name, dimensions)?;
    let (from, to) = info.data_offsets;
    let kind = kind(info.dtype).ok_or_else(|| {
        format_error(path, format!("tensor {name} holds {:?}, expected floating-point or integer numbers", info.dtype))
    })?;
    let values = info.shape.iter().try_fold(kind.bytes(), |bytes, &size| bytes.checked_mul(size));
    let end = (to as u64).checked_add(8 + header_bytes);
    if values != to.checked_sub(from) || end.is_none_or(|end| end > file_bytes) {
        let message = format!("tensor {name} of shape {:?} does not fit the file: cut off or damaged", info.shape);
        return Err(format_error(path, message));
    }
    reader.seek(SeekFrom::Start(8 + header_bytes + from as u64)).map_err(io_error("read", path))?;
    Ok((info.clone(), kind, reader))
}

fn choose<'a>(
    path: &Path,
    metadata: &'a Metadata,
    name: Option<&str>,
    dimensions: usize,
) -> Result<(String, &'a TensorInfo)> {
    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(name) = name {
        let Some(place) = tensors.iter().position(|(tensor, _)| tensor == name) else {
            return Err(format_error(path, format!("no tensor {name}; the file has {}", names(&tensors))));
        };
        let (name, info) = tensors.swap_remove(place);
        if info.shape.len() != dimensions {
            let message = format!("tensor {name} has shape {:?}, expected {dimensions} dimension(s)", info.shape);
            return Err(format_error(path, message));
        }
        return Ok((name, info));
    }
    tensors.retain(|(_, info)| info.shape.len() == dimensions);
    match tensors.len() {
        1 => Ok(tensors.swap_remove(0)),
        0 => Err(format_error(path, format!("no tensor of {dimensions} dimension(s)"))),
        _ => Err(format_error(path, format!("there are several tensors; name one of {}", names(&tensors)))),
    }
}

fn names(tensors: &[(String, &TensorInfo)]) -> String {
    tensors.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        Dtype::I8 => Kind::I8,
        Dtype::I16 => Kind::I16,
        Dtype::I32 => Kind::I32,
        Dtype::I64 => Kind::I64,
        Dtype::U8 => Kind::U8,
        Dtype::U16 => Kind::U16,
        Dtype::U32 => Kind::U32,
        Dtype::U64 => Kind::U64,
        _ => return None,
    })
}
