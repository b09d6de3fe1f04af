//! The proxies that a run ended with, for judging images of the classes it was trained on.

use kinsight_model::weights::{TensorMap, read_tensors};

use super::RunFolder;
use crate::config::TrainConfig;
use crate::error::TrainError;

impl RunFolder {
    /// The unit proxy of each training class, in the order of the training set's class names, from the last checkpoint.
    ///
    /// ```text
    /// normalize(share * O + (1 - share) * Z)    O learned, Z the proxy memory; O alone without a proxy tower
    /// ```
    /// `None` if the checkpoint was removed, or the loss had no proxies.
    ///
    /// # Errors
    /// [`TrainError::Model`] if it cannot be read.
    pub fn class_proxies(&self, config: &TrainConfig) -> Result<Option<Vec<Vec<f32>>>, TrainError> {
        let path = self.latest_checkpoint();
        if !path.is_file() {
            return Ok(None);
        }
        let (tensors, _) = read_tensors(&path)?;
        let Some(learned) = rows(&tensors, "parameter:proxies") else { return Ok(None) };
        let accumulates = config.proxies.source.accumulates();
        let proxy_memory = accumulates.then(|| rows(&tensors, "state:container")).flatten();
        let share = if proxy_memory.is_some() { config.proxies.proxy_bias_ratio as f32 } else { 1.0 };
        let mixed = learned.into_iter().enumerate().map(|(class, row)| {
            let of_container = |column: usize| {
                proxy_memory.as_ref().and_then(|rows| rows.get(class)?.get(column).copied()).unwrap_or(0.0)
            };
            let mixed =
                row.iter().enumerate().map(|(column, value)| share * value + (1.0 - share) * of_container(column));
            normalized(mixed.collect())
        });
        Ok(Some(mixed.collect()))
    }
}

fn rows(tensors: &TensorMap, name: &str) -> Option<Vec<Vec<f32>>> {
    let data = tensors.get(name)?;
    let width = *data.shape().to_vec().get(1)?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    Some(values.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect())
}

fn normalized(mut row: Vec<f32>) -> Vec<f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
    row.iter_mut().for_each(|value| *value /= length);
    row
}
