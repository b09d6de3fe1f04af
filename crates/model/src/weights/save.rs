//! Writing tensors from where they are in memory: a checkpoint of many gigabytes needs no second copy.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::tensor::TensorData;
use kinsight_files::{AtomicFile, FileError};
use serde_json::{Value, json};

use super::WeightFile;
use crate::error::ModelError;

/// Tensors by name.
pub type TensorMap = BTreeMap<String, TensorData>;

/// Values encoded at once.
const CHUNK: usize = 1 << 16;

/// The values of a tensor where they are, row-major.
#[derive(Clone, Debug)]
pub struct TensorSlice<'a> {
    /// Shape.
    pub shape: Vec<usize>,
    /// As many values as the shape says.
    pub values: &'a [f32],
}

/// Writes `tensors` as f32 safetensors with string `metadata`.
///
/// # Errors
/// [`ModelError::File`]; the target is untouched then.
pub fn write_safetensors(
    path: &Path,
    tensors: &TensorMap,
    metadata: BTreeMap<String, String>,
) -> Result<(), ModelError> {
    write_tensor_slices(path, &tensor_slices(path, tensors)?, &metadata)
}

/// Writes `tensors` as f16 safetensors; for shipping a backbone in half the space.
///
/// # Errors
/// [`ModelError::File`]; the target is untouched then.
pub fn write_safetensors_f16(
    path: &Path,
    tensors: &TensorMap,
    metadata: BTreeMap<String, String>,
) -> Result<(), ModelError> {
    let encode = |value: f32| half::f16::from_f32(value).to_le_bytes();
    write_encoded(path, &tensor_slices(path, tensors)?, &metadata, "F16", encode)
}

/// Writes tensors that lie anywhere in memory as f32 safetensors, without a copy of them.
///
/// # Errors
/// [`ModelError::File`]; the target is untouched then.
pub fn write_tensor_slices(
    path: &Path,
    tensors: &BTreeMap<String, TensorSlice<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), ModelError> {
    write_encoded(path, tensors, metadata, "F32", f32::to_le_bytes)
}

/// The values of `tensors`, to be written to `path`.
///
/// # Errors
/// [`ModelError::Format`] for a tensor of another type than f32.
pub fn tensor_slices<'a>(path: &Path, tensors: &'a TensorMap) -> Result<BTreeMap<String, TensorSlice<'a>>, ModelError> {
    let slice = |(name, data): (&String, &'a TensorData)| {
        let values = data.as_slice::<f32>().map_err(|error| ModelError::Format {
            path: path.to_owned(),
            reason: format!("tensor {name}: {error:?}"),
        })?;
        Ok((name.clone(), TensorSlice { shape: data.shape().to_vec(), values }))
    };
    tensors.iter().map(slice).collect()
}

fn write_encoded<const N: usize>(
    path: &Path,
    tensors: &BTreeMap<String, TensorSlice<'_>>,
    metadata: &BTreeMap<String, String>,
    dtype: &str,
    encode: impl Fn(f32) -> [u8; N],
) -> Result<(), ModelError> {
    let header = header(tensors, metadata, dtype, N);
    let mut file = AtomicFile::create(path)?;
    let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(FileError::at("write", path));
    write(&(header.len() as u64).to_le_bytes())?;
    write(&header)?;
    let mut bytes = Vec::new();
    for chunk in tensors.values().flat_map(|tensor| tensor.values.chunks(CHUNK)) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| encode(*value)));
        write(&bytes)?;
    }
    Ok(file.commit()?)
}

/// The header, its keys in order: a backbone is known by the hash of its file, so equal contents must be equal bytes.
fn header(
    tensors: &BTreeMap<String, TensorSlice<'_>>,
    metadata: &BTreeMap<String, String>,
    dtype: &str,
    value_bytes: usize,
) -> Vec<u8> {
    let (mut entries, mut start) = (BTreeMap::from([("__metadata__", json!(metadata))]), 0);
    for (name, TensorSlice { shape, values }) in tensors {
        let end = start + values.len() * value_bytes;
        // Sorted by hand: with serde_json's feature `preserve_order` a map keeps the order of insertion.
        let entry = [("data_offsets", json!([start, end])), ("dtype", json!(dtype)), ("shape", json!(shape))];
        entries.insert(name, Value::Object(entry.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()));
        start = end;
    }
    let mut header = json!(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // data stays aligned
    header
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
    use std::collections::HashMap;
    use std::fs;

    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    /// What earlier versions wrote: by the crate safetensors, then the keys of the header in order.
    fn oracle(tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> Vec<u8> {
        let bytes = |data: &TensorData| -> Vec<u8> {
            data.as_slice::<f32>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let encoded: Vec<_> = tensors.iter().map(|(name, data)| (name, data.shape().to_vec(), bytes(data))).collect();
        let views = encoded
            .iter()
            .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        let metadata: HashMap<_, _> = metadata.clone().into_iter().collect();
        let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
        let (len, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
        let header: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(header).unwrap();
        let mut header = serde_json::to_vec(&header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
    }

    #[test]
    fn equal_contents_are_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = TensorMap::from([
            ("b".to_string(), TensorData::new(vec![1.0f32, 2.0, 3.0], [3])),
            ("a".to_string(), TensorData::new(vec![4.0f32; 6], [2, 3])),
            ("Z\"\u{e9}".to_string(), TensorData::new(vec![-0.0f32, f32::NAN], [1, 2, 1])),
            ("empty".to_string(), TensorData::new(Vec::<f32>::new(), [0])),
            ("long".to_string(), TensorData::new(vec![0.5f32; CHUNK + 1], [CHUNK + 1])),
        ]);
        let metadata: BTreeMap<String, String> = ('a'..='p').map(|c| (c.to_string(), c.to_string())).collect();
        let write = |name: &str| {
            let path = folder.path().join(name);
            write_safetensors(&path, &tensors, metadata.clone()).unwrap();
            path
        };
        let (first, second) = (write("first"), write("second"));
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        assert_eq!(fs::read(&first).unwrap(), oracle(&tensors, &metadata));
        write_safetensors(&first, &TensorMap::new(), BTreeMap::new()).unwrap();
        assert!(read_tensors(&first).unwrap().0.is_empty());
        let (read, read_metadata) = read_tensors(&second).unwrap();
        assert_eq!(read_metadata, metadata);
        assert_eq!(read["a"], tensors["a"]);
        assert_eq!(read["b"], tensors["b"]);
    }
}
