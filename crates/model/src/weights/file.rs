//! A memory-mapped safetensors file, and a backbone read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::ModelError;
use crate::parameters::ParameterSource;
use crate::vit::config::VitConfig;
use crate::vit::resample_position_embedding;

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
    Mapped(Mmap),
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
    /// [`ModelError::Io`] or [`ModelError::Format`].
    #[expect(unsafe_code, reason = "mapping a file is unsafe because another process may shorten it while mapped")]
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { action: "read", path: path.to_path_buf(), source };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() < 8 {
            let reason = "the file is shorter than a safetensors header".into();
            return Err(ModelError::Format { path: path.to_path_buf(), reason });
        }
        // SAFETY: the mapping is read-only and private to this value; a file truncated by another process while
        // mapped is the documented hazard of every memory-mapped reader.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
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
        #[expect(clippy::expect_used, reason = "the same bytes were deserialised when the file was opened")]
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

/// A backbone checkpoint in timm naming as a source of parameters.
///
/// The classifier is ignored, a position embedding of another grid is resampled, and everything that does not fit is
/// collected and reported together by [`BackboneSource::finish`].
#[derive(Debug)]
pub struct BackboneSource<'a> {
    file: &'a WeightFile,
    special_tokens: usize,
    device: Device,
    used: BTreeSet<String>,
    problems: Vec<String>,
}

/// Tensors of a timm classifier that an embedding model has no use for.
const CLASSIFIER: [&str; 4] = ["head.", "head_dist.", "fc_norm.", "pre_logits."];

impl<'a> BackboneSource<'a> {
    /// Reads tensors of `file` for an architecture `config` onto `device`.
    pub fn new(file: &'a WeightFile, config: &VitConfig, device: &Device) -> Self {
        Self {
            file,
            special_tokens: config.special_tokens(),
            device: device.clone(),
            used: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Fails if any tensor was missing, unexpected, of another shape, or not finite.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with one line a problem.
    pub fn finish(mut self) -> Result<(), ModelError> {
        for (name, shape) in self.file.shapes() {
            let ignored = name.starts_with("__") || CLASSIFIER.iter().any(|prefix| name.starts_with(prefix));
            if !ignored && !self.used.contains(&name) {
                self.problems.push(format!("  unexpected {name} {shape:?}"));
            }
        }
        self.finish_partial()
    }

    /// As [`Self::finish`], but tensors that nobody asked for are no problem: a fine-tuning replaces some of them.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with one line a problem.
    pub fn finish_partial(self) -> Result<(), ModelError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ModelError::Weights { path: self.file.path.clone(), problems: self.problems })
    }

    fn resample_positions(&self, values: &[f32], found: &[usize], expected: &[usize]) -> Option<Vec<f32>> {
        let ([1, old, width], [1, new, expected_width]) = (found, expected) else { return None };
        let old_grid = perfect_square_root(old.checked_sub(self.special_tokens)?)?;
        let new_grid = perfect_square_root(new.checked_sub(self.special_tokens)?)?;
        (width == expected_width)
            .then(|| resample_position_embedding(values, *width, self.special_tokens, old_grid, new_grid))
    }
}

impl ParameterSource for BackboneSource<'_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.used.insert(name.to_string());
        let placeholder = || vec![0.0; shape.iter().product()];
        let (values, found) = match self.file.tensor(name) {
            Ok(Some(tensor)) => tensor,
            Ok(None) => {
                self.problems.push(format!("  missing {name}, expected shape {shape:?}"));
                return placeholder();
            }
            Err(error) => {
                self.problems.push(format!("  {error}"));
                return placeholder();
            }
        };
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            self.problems.push(format!("  {name} is not finite: {} at element {bad}", values[bad]));
        }
        if found == shape {
            return values;
        }
        let resampled = if name == "pos_embed" { self.resample_positions(&values, &found, shape) } else { None };
        resampled.unwrap_or_else(|| {
            self.problems.push(format!("  {name}: expected shape {shape:?}, found {found:?}"));
            placeholder()
        })
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

fn perfect_square_root(n: usize) -> Option<usize> {
    let root = n.isqrt();
    (root * root == n).then_some(root)
}
