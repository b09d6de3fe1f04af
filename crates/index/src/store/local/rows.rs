//! The file of vectors: a header, then rows of little-endian `f32`, appended and never changed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kinsight_files::{DurableFile, FileError, MappedFile};

use crate::error::{IndexError, Result};

/// What the file starts with.
const MAGIC: &[u8; 8] = b"KINSVEC1";
/// Room for the magic and the width; rows start at a multiple of a cache line.
const HEADER_BYTES: usize = 64;
/// No embedding is wider; a larger number in a header is damage.
const MAX_DIM: usize = 1 << 16;

/// The file, open to append.
pub(super) struct RowsWriter {
    file: DurableFile,
    /// Width of a row.
    pub dim: usize,
}

impl RowsWriter {
    /// Writes an empty file for rows of width `dim`.
    pub fn create(path: &Path, dim: usize) -> Result<()> {
        if dim == 0 || dim > MAX_DIM {
            return Err(IndexError::setting("the embedding size", dim, format!("1 to {MAX_DIM}")));
        }
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&(dim as u64).to_le_bytes());
        let mut file = DurableFile::create(path)?;
        file.write_at(0, &header)?;
        Ok(file.sync()?)
    }

    pub fn open(path: &Path) -> Result<Self> {
        let dim = RowsFile::open(path)?.dim;
        Ok(Self { file: DurableFile::open(path)?, dim })
    }

    /// Writes rows from row `first` on, over whatever an interrupted write left there, and waits for the disk.
    pub fn append<'a>(&mut self, first: usize, rows: impl Iterator<Item = &'a [f32]>) -> Result<()> {
        let bytes: Vec<u8> = rows.flatten().flat_map(|value| value.to_le_bytes()).collect();
        self.file.write_at((HEADER_BYTES + first * self.dim * size_of::<f32>()) as u64, &bytes)?;
        Ok(self.file.sync()?)
    }
}

/// The file, open to read. The descriptor is kept: what lies at the path later does not matter.
pub(super) struct RowsFile {
    path: PathBuf,
    file: File,
    dim: usize,
}

impl RowsFile {
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(FileError::at("open", path))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(FileError::at("read the header of", path))?;
        let mut dim = [0; 8];
        dim.copy_from_slice(&header[8..16]);
        let dim = u64::from_le_bytes(dim);
        if header[..8] != *MAGIC || dim == 0 || dim > MAX_DIM as u64 {
            return Err(IndexError::corrupt(path, "not a vector file: its header is not one that kinsight writes"));
        }
        Ok(Self { path: path.to_owned(), file, dim: dim as usize })
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The first `count` rows in memory.
    pub fn map(&self, count: usize) -> Result<Rows> {
        let needed = count.checked_mul(self.dim * size_of::<f32>()).and_then(|rows| rows.checked_add(HEADER_BYTES));
        let map = MappedFile::of(&self.file, &self.path)?;
        if needed.is_none_or(|needed| map.len() < needed) {
            let found = (map.len().saturating_sub(HEADER_BYTES)) / (self.dim * size_of::<f32>());
            let reason = format!(
                "cut off, or the catalog is damaged: it holds {found} vectors of width {}, the catalog counts {count}",
                self.dim
            );
            return Err(IndexError::corrupt(&self.path, reason));
        }
        Ok(Rows { path: self.path.clone(), map, dim: self.dim, count })
    }
}

/// Rows in memory.
pub(super) struct Rows {
    path: PathBuf,
    map: MappedFile,
    dim: usize,
    count: usize,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All rows, `[len, dim]`.
    pub fn values(&self) -> &[f32] {
        let bytes = &self.map[HEADER_BYTES..][..self.count * self.dim * size_of::<f32>()];
        bytemuck::cast_slice(bytes)
    }

    /// One row, which the catalog says there is.
    pub fn get(&self, row: u32) -> Result<&[f32]> {
        self.values().get(row as usize * self.dim..).and_then(|rest| rest.get(..self.dim)).ok_or_else(|| {
            IndexError::corrupt(&self.path, format!("no row {row}, the file holds {} vectors", self.count))
        })
    }
}

/// Eight bytes of a row's BLAKE3, as the signed number that SQLite stores.
pub(super) fn checksum(row: &[f32]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    row.iter().for_each(|value| {
        hasher.update(&value.to_le_bytes());
    });
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(bytes)
}
