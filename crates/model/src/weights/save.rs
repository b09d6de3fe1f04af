//! Writing tensors so that a crash or a full disk never leaves half a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use burn::tensor::TensorData;
use safetensors::tensor::{Dtype, TensorView};

use super::WeightFile;
use crate::error::ModelError;

/// Tensors by name.
pub type TensorMap = BTreeMap<String, TensorData>;

/// Writes `tensors` as f32 safetensors with string `metadata`: beside the target, synced, then renamed over it.
///
/// # Errors
/// [`ModelError::Io`]; the target is untouched then.
pub fn write_safetensors(
    path: &Path,
    tensors: &TensorMap,
    metadata: BTreeMap<String, String>,
) -> Result<(), ModelError> {
    write_views(path, tensors, metadata, Dtype::F32, |values| values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Writes `tensors` as f16 safetensors; for shipping a backbone in half the space.
///
/// # Errors
/// [`ModelError::Io`]; the target is untouched then.
pub fn write_safetensors_f16(
    path: &Path,
    tensors: &TensorMap,
    metadata: BTreeMap<String, String>,
) -> Result<(), ModelError> {
    write_views(path, tensors, metadata, Dtype::F16, |values| {
        values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect()
    })
}

fn write_views(
    path: &Path,
    tensors: &TensorMap,
    metadata: BTreeMap<String, String>,
    dtype: Dtype,
    encode: impl Fn(&[f32]) -> Vec<u8>,
) -> Result<(), ModelError> {
    let invalid = |reason: String| ModelError::Format { path: path.to_path_buf(), reason };
    let mut encoded = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let values = data.as_slice::<f32>().map_err(|e| invalid(format!("tensor {name}: {e:?}")))?;
        encoded.push((name, data.shape().to_vec(), encode(values)));
    }
    let mut views = Vec::with_capacity(encoded.len());
    for (name, shape, bytes) in &encoded {
        let view = TensorView::new(dtype, shape.clone(), bytes).map_err(|e| invalid(format!("tensor {name}: {e}")))?;
        views.push((name.as_str(), view));
    }
    let metadata: HashMap<String, String> = metadata.into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| invalid(e.to_string()))?;
    write_atomically(path, &bytes)
}

/// Writes `bytes` beside `path`, syncs, and renames over it.
///
/// # Errors
/// [`ModelError::Io`]; an existing file at `path` is untouched then, and nothing is left beside it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(partial, path)?;
        // The rename itself is durable only once the directory is synced.
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(|source| {
        let _ = fs::remove_file(partial);
        ModelError::Io { action: "write", path: path.to_path_buf(), source }
    })
}

/// Reads all tensors of a file as f32.
///
/// # Errors
/// [`ModelError::Io`] or [`ModelError::Format`].
pub fn read_tensors(path: &Path) -> Result<(TensorMap, BTreeMap<String, String>), ModelError> {
    let file = WeightFile::open(path)?;
    let mut tensors = TensorMap::new();
    for name in file.shapes().into_keys() {
        if let Some((values, shape)) = file.tensor(&name)? {
            tensors.insert(name, TensorData::new(values, shape));
        }
    }
    Ok((tensors, file.metadata().clone()))
}
