//! JPEG files to network inputs, on one thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use kinsight_data::dataset::image_files;
use kinsight_data::{DecodeLimits, EvalTransform, Preprocess, Scratch, decode_bytes};
use kinsight_model::weights::{TensorMap, write_safetensors};

use crate::{Arguments, Outcome, Work};

/// A folder of pictures; one repetition reads them all.
pub struct Decode {
    files: Vec<PathBuf>,
    transform: EvalTransform,
    scratch: Scratch,
    tensor: Vec<f32>,
}

impl Decode {
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        let transform = EvalTransform::new(Preprocess::default())?;
        let tensor = vec![0.0; transform.preprocess().output_len()];
        Ok(Self { files: image_files(arguments.place(0)?)?, transform, scratch: Scratch::new(), tensor })
    }

    fn read(&mut self, index: usize) -> Outcome {
        let file = &self.files[index];
        let bytes = std::fs::read(file)?;
        let image =
            decode_bytes(&bytes, DecodeLimits::default()).map_err(|fault| format!("{}: {fault}", file.display()))?;
        Ok(self.transform.apply(&image, &mut self.scratch, &mut self.tensor)?)
    }
}

impl Work for Decode {
    fn step(&mut self) -> Outcome {
        (0..self.files.len()).try_for_each(|index| self.read(index))
    }

    fn dump(&mut self, path: &Path) -> Outcome {
        let mut tensors = TensorMap::new();
        for index in 0..self.files.len() {
            self.read(index)?;
            let name = self.files[index].file_name().unwrap_or_default().to_string_lossy().to_string();
            tensors.insert(name, TensorData::new(self.tensor.clone(), [self.tensor.len()]));
        }
        Ok(write_safetensors(path, &tensors, BTreeMap::new())?)
    }
}
