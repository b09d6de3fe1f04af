//! The proxies of a run's classes, for judging images of the classes it was trained on.
//!
//! They are a file of their own next to the fine-tuning: with many classes they are larger than it, and embedding images
//! does not need them. They are written at the step whose state is kept. A moving average covers the encoder alone, so with
//! one the proxies are those of that step, not averaged.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use kinsight_model::TrainingFacts;
use kinsight_model::finetuned::read_info;
use kinsight_model::weights::{TensorMap, read_tensors, write_safetensors};

use super::RunFolder;
use crate::error::TrainError;

const PROXIES: &str = "proxies";

/// Unit proxies with the classes they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassProxies {
    class_names: Vec<String>,
    /// The K rows of a class next to each other.
    rows: Vec<Vec<f32>>,
    centers_per_class: usize,
}

impl ClassProxies {
    /// Each proxy with its name: the class's, and which of its centers where a class has several.
    pub fn named(&self) -> impl Iterator<Item = (String, &[f32])> {
        let centers = self.centers_per_class;
        self.rows.iter().enumerate().map(move |(row, proxy)| {
            let class = &self.class_names[row / centers];
            let name = if centers == 1 { class.clone() } else { format!("{class}, center {}", row % centers + 1) };
            (name, proxy.as_slice())
        })
    }

    /// One unit vector for each class: its proxy, or the mean direction of its centers.
    pub fn by_class(&self) -> impl Iterator<Item = (&str, Vec<f32>)> {
        self.class_names.iter().zip(self.rows.chunks(self.centers_per_class)).map(|(name, centers)| {
            let mut mean = vec![0.0; centers[0].len()];
            centers.iter().flat_map(|center| center.iter().enumerate()).for_each(|(at, value)| mean[at] += value);
            let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
            mean.iter_mut().for_each(|value| *value /= length);
            (name.as_str(), mean)
        })
    }
}

impl RunFolder {
    /// The proxies of the state that is kept.
    pub fn proxies(&self) -> PathBuf {
        self.root.join("proxies.safetensors")
    }

    /// The proxies of the state that was best on the validation classes.
    pub(crate) fn best_proxies(&self) -> PathBuf {
        self.checkpoints().join("best_proxies.safetensors")
    }

    /// Writes unit `proxies` `[C * K, E]`.
    pub(crate) fn write_proxies(path: &Path, proxies: &Tensor<2>) -> Result<(), TrainError> {
        let tensors = TensorMap::from([(PROXIES.to_string(), proxies.to_data())]);
        Ok(write_safetensors(path, &tensors, Default::default())?)
    }

    /// Writes the proxies at `from` to `to`.
    pub(crate) fn copy_proxies(from: &Path, to: &Path) -> Result<(), TrainError> {
        let (tensors, metadata) = read_tensors(from)?;
        Ok(write_safetensors(to, &tensors, metadata)?)
    }

    /// What the finished run stored about itself; `None` if an older version trained it.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the fine-tuning cannot be read.
    pub fn training_facts(&self) -> Result<Option<TrainingFacts>, TrainError> {
        Ok(read_info(&self.model())?.training)
    }

    /// The unit proxies of the classes that the run was trained on; `None` if its loss had none, or an older version
    /// trained it.
    ///
    /// # Errors
    /// [`TrainError::Model`] if a file cannot be read; [`TrainError::RunFolder`] if the files are of different runs.
    pub fn class_proxies(&self) -> Result<Option<ClassProxies>, TrainError> {
        let path = self.proxies();
        let Some(facts) = self.training_facts()?.filter(|_| path.is_file()) else { return Ok(None) };
        let (mut tensors, _) = read_tensors(&path)?;
        let data = tensors.remove(PROXIES);
        let shape = data.as_ref().map(|data| data.shape().to_vec()).unwrap_or_default();
        let (class_names, centers_per_class) = (facts.class_names, facts.centers_per_class.max(1));
        let (Some(data), &[rows, width]) = (data, &shape[..]) else {
            return Err(self.foreign_proxies("holds no proxies".into()));
        };
        let expected = class_names.len() * centers_per_class;
        if rows != expected || width == 0 {
            return Err(self.foreign_proxies(format!("holds {rows} proxies of width {width}, expected {expected}")));
        }
        let values: Vec<f32> = data.iter::<f32>().collect();
        let rows = values.chunks_exact(width).map(<[f32]>::to_vec).collect();
        Ok(Some(ClassProxies { class_names, rows, centers_per_class }))
    }

    fn foreign_proxies(&self, message: String) -> TrainError {
        let hint = "it does not belong to model.safetensors; remove it to go without proxies".into();
        TrainError::RunFolder { path: self.proxies(), message, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_centers_are_of_one_class() {
        let proxies = ClassProxies {
            class_names: vec!["ant".into(), "bee".into()],
            rows: vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, -1.0], vec![0.0, -1.0]],
            centers_per_class: 2,
        };
        let names: Vec<String> = proxies.named().map(|(name, _)| name).collect();
        assert_eq!(names, ["ant, center 1", "ant, center 2", "bee, center 1", "bee, center 2"]);
        let means: Vec<(&str, Vec<f32>)> = proxies.by_class().collect();
        let half = 0.5_f32.sqrt();
        assert_eq!(means, [("ant", vec![half, half]), ("bee", vec![0.0, -1.0])]);
    }
}
