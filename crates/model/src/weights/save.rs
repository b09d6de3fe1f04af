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
    let bytes = with_sorted_header(&bytes).ok_or_else(|| invalid("malformed header".into()))?;
    write_atomically(path, &bytes)
}

/// The same file with the keys of its header in order.
///
/// The serializer takes metadata in a hash map, whose order differs from call to call; a backbone is known by the hash
/// of its file, so equal contents must be equal bytes.
fn with_sorted_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let header: BTreeMap<String, BTreeMap<String, serde_json::Value>> = serde_json::from_slice(header).ok()?;
    let mut header = serde_json::to_vec(&header).ok()?;
    header.resize(header.len().next_multiple_of(8), b' '); // data stays aligned
    let mut sorted = (header.len() as u64).to_le_bytes().to_vec();
    sorted.extend(header);
    sorted.extend(data);
    Some(sorted)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = TensorMap::from([
            ("b".to_string(), TensorData::new(vec![1.0f32, 2.0, 3.0], [3])),
            ("a".to_string(), TensorData::new(vec![4.0f32; 6], [2, 3])),
        ]);
        let metadata: BTreeMap<String, String> = ('a'..='p').map(|c| (c.to_string(), c.to_string())).collect();
        let write = |name: &str| {
            let path = folder.path().join(name);
            write_safetensors(&path, &tensors, metadata.clone()).unwrap();
            path
        };
        let (first, second) = (write("first"), write("second"));
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        let (read, read_metadata) = read_tensors(&first).unwrap();
        assert_eq!(read_metadata, metadata);
        assert_eq!(read["a"], tensors["a"]);
        assert_eq!(read["b"], tensors["b"]);
    }
}
