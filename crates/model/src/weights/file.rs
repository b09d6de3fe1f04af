//! A memory-mapped safetensors file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinsight_files::MappedFile;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::layout::Names;
use crate::error::ModelError;

/// A safetensors file mapped into memory; tensors are converted to f32 one at a time as they are asked for.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
}

/// Row-major values, and their shape.
pub type ValuesAndShape = (Vec<f32>, Vec<usize>);

#[derive(Debug)]
enum Bytes {
    Mapped(MappedFile),
    Static(&'static [u8]),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
        }
    }
}

impl WeightFile {
    /// Maps `path` and checks its header.
    ///
    /// # Errors
    /// [`ModelError::File`] or [`ModelError::Format`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let map = MappedFile::open(path)?;
        if map.len() < 8 {
            let reason = "the file is shorter than a safetensors header".into();
            return Err(ModelError::Format { path: path.to_path_buf(), reason });
        }
        Self::from_bytes(path, Bytes::Mapped(map))
    }

    /// A file that is part of the program; `name` stands for its path in messages.
    ///
    /// # Errors
    /// [`ModelError::Format`]
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, ModelError> {
        Self::from_bytes(Path::new(name), Bytes::Static(bytes))
    }

    fn from_bytes(path: &Path, bytes: Bytes) -> Result<Self, ModelError> {
        let invalid = |reason: String| ModelError::Format { path: path.to_path_buf(), reason };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| invalid(e.to_string()))?;
        SafeTensors::deserialize(&bytes).map_err(|e| invalid(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { path: path.to_path_buf(), bytes, metadata })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The string metadata of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors().iter().map(|(name, view)| (name.to_string(), view.shape().to_vec())).collect()
    }

    /// The tensors by the names they have in this crate.
    pub fn names(&self) -> Names {
        Names::of(self.shapes().keys())
    }

    /// The tensor `name` as f32 with its shape, if it is there.
    ///
    /// # Errors
    /// [`ModelError::Format`] for a type other than f32, f16 or bf16.
    pub fn tensor(&self, name: &str) -> Result<Option<ValuesAndShape>, ModelError> {
        match self.tensors().tensor(name) {
            Err(_) => Ok(None),
            Ok(view) => Ok(Some((self.to_f32(name, &view)?, view.shape().to_vec()))),
        }
    }

    /// Hash of the whole file; names a backbone in fine-tunings and indexes.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update_rayon(&self.bytes);
        hasher.finalize().to_hex()[..32].to_string()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        #[expect(clippy::expect_used, reason = "the same bytes were deserialized when the file was opened")]
        SafeTensors::deserialize(&self.bytes).expect("header was checked on opening")
    }

    fn to_f32(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ModelError> {
        let data = view.data();
        let pairs = || data.chunks_exact(2).map(|b| [b[0], b[1]]);
        match view.dtype() {
            Dtype::F32 => Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Dtype::F16 => Ok(pairs().map(|b| half::f16::from_le_bytes(b).to_f32()).collect()),
            Dtype::BF16 => Ok(pairs().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect()),
            other => Err(ModelError::Format {
                path: self.path.clone(),
                reason: format!("tensor {name} has type {other:?}, expected F32, F16 or BF16"),
            }),
        }
    }
}
