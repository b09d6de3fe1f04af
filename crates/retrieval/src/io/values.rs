//! Little-endian numbers, streamed from a file into memory.

use std::io::Read;
use std::path::Path;

use half::{bf16, f16};

use super::{format_error, io_error};
use crate::error::Result;

/// The kinds of numbers that embeddings and labels come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Kind {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

/// Reads `count` floating-point numbers as `f32`.
///
/// The caller has compared the claimed size with the file's, so `count` numbers are there to allocate for.
///
/// # Errors
/// A kind that is not a floating-point number, or a failure to read.
pub(super) fn read_floats(path: &Path, reader: &mut impl Read, kind: Kind, count: usize) -> Result<Vec<f32>> {
    match kind {
        Kind::F32 => read(path, reader, count, f32::from_le_bytes),
        Kind::F16 => read(path, reader, count, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Kind::Bf16 => read(path, reader, count, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Kind::F64 => read(path, reader, count, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => Err(format_error(path, format!("embeddings are {kind:?}, expected F32, F16, BF16 or F64"))),
    }
}

/// Reads `count` integers as `i64`.
///
/// # Errors
/// A kind that is not an integer, an integer above `i64::MAX`, or a failure to read.
pub(super) fn read_integers(path: &Path, reader: &mut impl Read, kind: Kind, count: usize) -> Result<Vec<i64>> {
    match kind {
        Kind::I8 => read(path, reader, count, |bytes| i64::from(i8::from_le_bytes(bytes))),
        Kind::I16 => read(path, reader, count, |bytes| i64::from(i16::from_le_bytes(bytes))),
        Kind::I32 => read(path, reader, count, |bytes| i64::from(i32::from_le_bytes(bytes))),
        Kind::I64 => read(path, reader, count, i64::from_le_bytes),
        Kind::U8 => read(path, reader, count, |bytes| i64::from(u8::from_le_bytes(bytes))),
        Kind::U16 => read(path, reader, count, |bytes| i64::from(u16::from_le_bytes(bytes))),
        Kind::U32 => read(path, reader, count, |bytes| i64::from(u32::from_le_bytes(bytes))),
        Kind::U64 => {
            let labels = read(path, reader, count, |bytes| i64::try_from(u64::from_le_bytes(bytes)).ok())?;
            let first_bad = labels.iter().position(Option::is_none);
            labels.into_iter().collect::<Option<Vec<i64>>>().ok_or_else(|| {
                format_error(path, format!("label {} is above {}", first_bad.unwrap_or_default(), i64::MAX))
            })
        }
        _ => Err(format_error(path, format!("labels are {kind:?}, expected integers"))),
    }
}

fn read<const BYTES: usize, T>(
    path: &Path,
    reader: &mut impl Read,
    count: usize,
    value: impl Fn([u8; BYTES]) -> T,
) -> Result<Vec<T>> {
    const CHUNK: usize = 1 << 16;
    let mut values = Vec::with_capacity(count);
    let mut buffer = vec![0; CHUNK.min(count.max(1)) * BYTES];
    while values.len() < count {
        let bytes = &mut buffer[..CHUNK.min(count - values.len()) * BYTES];
        reader.read_exact(bytes).map_err(io_error("read", path))?;
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| value(bytes)));
    }
    Ok(values)
}
