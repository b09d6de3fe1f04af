//! NumPy's `.npy`: embeddings `[n, dim]` in `f32`, `f16` or `f64`, labels `[n]` in any integer type; little-endian, row by
//! row.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use kinsight_files::AtomicFile;

use super::npy_header::{MAGIC, NpyHeader, WRITTEN_BYTES};
use super::values::{read_floats, read_integers};
use super::{append, format_error, io_error, unit_rows};
use crate::UnitEmbeddings;
use crate::error::{Result, RetrievalError};

/// Longest header that is believed; NumPy's own for plain arrays takes 128 bytes.
const LONGEST_HEADER: usize = 1 << 16;

/// Reads embeddings from an array of two dimensions.
///
/// # Errors
/// A file that cannot be read, is not a `.npy`, is cut off or too long, holds another shape or type, or has a row without a
/// direction.
pub fn read_npy_embeddings(path: &Path) -> Result<UnitEmbeddings> {
    let (header, mut reader) = open(path)?;
    let [rows, dim] = header.shape[..] else {
        return Err(wrong_shape(path, &header.shape, "(rows, width)"));
    };
    let values = read_floats(path, &mut reader, header.kind, rows * dim)?;
    unit_rows(path, values, dim)
}

/// Reads labels from an array of one dimension.
///
/// # Errors
/// A file that cannot be read, is not a `.npy`, is cut off or too long, or holds another shape or no integers.
pub fn read_npy_labels(path: &Path) -> Result<Vec<i64>> {
    let (header, mut reader) = open(path)?;
    let [rows] = header.shape[..] else {
        return Err(wrong_shape(path, &header.shape, "(rows,)"));
    };
    read_integers(path, &mut reader, header.kind, rows)
}

/// Writes `f32` rows one batch after another, without holding them.
///
/// The file appears under its name when [`finish`](Self::finish) returns; until then, and if the writer is dropped,
/// an existing file stays.
pub struct NpyWriter {
    file: AtomicFile,
    path: PathBuf,
    dim: usize,
    rows: usize,
    bytes: Vec<u8>,
}

impl NpyWriter {
    /// Starts a file of rows of width `dim`.
    ///
    /// # Errors
    /// A width of zero, or a folder that cannot be written to.
    pub fn create(path: &Path, dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(RetrievalError::Shape { values: 0, dim });
        }
        let mut file = AtomicFile::create(path)?;
        append(&mut file, path, &[0; WRITTEN_BYTES])?;
        Ok(Self { file, path: path.to_owned(), dim, rows: 0, bytes: Vec::new() })
    }

    /// Appends `[n, dim]` values.
    ///
    /// # Errors
    /// A number of values that is not a multiple of the width; a failure to write, such as a full disk.
    pub fn write_rows(&mut self, values: &[f32]) -> Result<()> {
        if !values.len().is_multiple_of(self.dim) {
            return Err(RetrievalError::Shape { values: values.len(), dim: self.dim });
        }
        self.bytes.clear();
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        append(&mut self.file, &self.path, &self.bytes)?;
        self.rows += values.len() / self.dim;
        Ok(())
    }

    /// How many rows have been written.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// A failure to write or to rename.
    pub fn finish(mut self) -> Result<()> {
        self.file.rewrite_start(&NpyHeader::of_rows(self.rows, self.dim))?;
        Ok(self.file.commit()?)
    }
}

/// Writes labels `[n]` as `int64`.
///
/// # Errors
/// A failure to write or to rename.
pub fn write_npy_labels(path: &Path, labels: &[i64]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    append(&mut file, path, &NpyHeader::of_labels(labels.len()))?;
    for labels in labels.chunks(1 << 16) {
        let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        append(&mut file, path, &bytes)?;
    }
    Ok(file.commit()?)
}

/// The header and a reader at the first value, the file's length being what the header claims.
fn open(path: &Path) -> Result<(NpyHeader, BufReader<File>)> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let file_bytes = file.metadata().map_err(io_error("read", path))?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut start = [0; 8];
    if reader.read_exact(&mut start).is_err() || start[..6] != *MAGIC {
        return Err(format_error(path, "not a .npy file: it does not start with \\x93NUMPY"));
    }
    let cut_off = |_| format_error(path, "the file ends inside its header");
    let (header_bytes, before) = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(cut_off)?;
            (usize::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(cut_off)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        version => return Err(format_error(path, format!(".npy version {version}, expected 1, 2 or 3"))),
    };
    if header_bytes > LONGEST_HEADER {
        return Err(format_error(path, format!("a header of {header_bytes} bytes, expected at most {LONGEST_HEADER}")));
    }
    let mut text = vec![0; header_bytes];
    reader.read_exact(&mut text).map_err(cut_off)?;
    let header = NpyHeader::parse(&String::from_utf8_lossy(&text)).map_err(|message| format_error(path, message))?;

    let value_bytes =
        header.shape.iter().try_fold(header.kind.bytes(), |bytes, &size| bytes.checked_mul(size)).map(|b| b as u64);
    let found = file_bytes.saturating_sub((before + header_bytes) as u64);
    if value_bytes != Some(found) {
        let expected = value_bytes.map_or_else(|| "more than memory can hold".to_owned(), |bytes| bytes.to_string());
        let shape = &header.shape;
        let message = format!("shape {shape:?} needs {expected} bytes of values, found {found}: cut off or damaged");
        return Err(format_error(path, message));
    }
    Ok((header, reader))
}

fn wrong_shape(path: &Path, found: &[usize], expected: &str) -> RetrievalError {
    format_error(path, format!("an array of shape {found:?}, expected {expected}"))
}
