//! The file of vectors: a header, then rows of little-endian `f32`, appended and never changed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{IndexError, Result, io_error};

/// What the file starts with.
const MAGIC: &[u8; 8] = b"KINSVEC1";
/// Room for the magic and the width; rows start at a multiple of a cache line.
const HEADER_BYTES: usize = 64;
/// No embedding is wider; a larger number in a header is damage.
const MAX_DIM: usize = 1 << 16;

/// The open file.
pub(super) struct RowsFile {
    path: PathBuf,
    file: File,
    dim: usize,
}

impl RowsFile {
    /// Writes an empty file for rows of width `dim`.
    pub fn create(path: &Path, dim: usize) -> Result<()> {
        if dim == 0 || dim > MAX_DIM {
            return Err(IndexError::setting("the embedding size", dim, format!("1 to {MAX_DIM}")));
        }
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&(dim as u64).to_le_bytes());
        let mut file = File::create(path).map_err(io_error("create", path))?;
        file.write_all(&header).and_then(|()| file.sync_all()).map_err(io_error("write", path))
    }

    /// Opens the file to read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with_options(path, OpenOptions::new().read(true))
    }

    /// Opens the file to append.
    pub fn open_for_writing(path: &Path) -> Result<Self> {
        Self::with_options(path, OpenOptions::new().read(true).write(true))
    }

    fn with_options(path: &Path, options: &OpenOptions) -> Result<Self> {
        let mut file = options.open(path).map_err(io_error("open", path))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(io_error("read the header of", path))?;
        let mut dim = [0; 8];
        dim.copy_from_slice(&header[8..16]);
        let dim = u64::from_le_bytes(dim);
        if header[..8] != *MAGIC || dim == 0 || dim > MAX_DIM as u64 {
            return Err(IndexError::corrupt(path, "not a file of vectors: its header is not one kinsight writes"));
        }
        Ok(Self { path: path.to_owned(), file, dim: dim as usize })
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Writes rows from row `first` on, over whatever an interrupted write left there, and waits for the disk.
    pub fn append<'a>(&mut self, first: usize, rows: impl Iterator<Item = &'a [f32]>) -> Result<()> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        }
        let start = (HEADER_BYTES + first * self.dim * size_of::<f32>()) as u64;
        let written = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.write_all(&bytes));
        written.and_then(|()| self.file.sync_data()).map_err(io_error("write", &self.path))
    }

    /// The first `count` rows in memory.
    #[expect(unsafe_code, reason = "mapping a file is unsafe because another process may shorten it while mapped")]
    pub fn map(self, count: usize) -> Result<Rows> {
        let needed = (HEADER_BYTES + count * self.dim * size_of::<f32>()) as u64;
        let found = self.file.metadata().map_err(io_error("read", &self.path))?.len();
        if found < needed {
            let reason = format!("cut off: {found} bytes, expected {needed} for {count} vectors of width {}", self.dim);
            return Err(IndexError::corrupt(&self.path, reason));
        }
        // SAFETY: the mapping is read-only, rows below `count` are never written again, and kinsight never shortens the
        // file; a file truncated by another program while mapped is the documented hazard of every memory-mapped reader.
        let map = unsafe { Mmap::map(&self.file) }.map_err(io_error("map", &self.path))?;
        Ok(Rows { path: self.path, map, dim: self.dim, count })
    }
}

/// Rows in memory.
pub(super) struct Rows {
    path: PathBuf,
    map: Mmap,
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

    /// All rows, `[len, dim]`.
    pub fn values(&self) -> &[f32] {
        let bytes = &self.map[HEADER_BYTES..][..self.count * self.dim * size_of::<f32>()];
        bytemuck::cast_slice(bytes)
    }

    /// One row, if there is such a row.
    pub fn get(&self, slot: u32) -> Option<&[f32]> {
        self.values().get(slot as usize * self.dim..)?.get(..self.dim)
    }

    /// One row, which the catalog says there is.
    pub fn require(&self, slot: u32) -> Result<&[f32]> {
        self.get(slot).ok_or_else(|| {
            IndexError::corrupt(&self.path, format!("no row {slot}, the file holds {} vectors", self.count))
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
