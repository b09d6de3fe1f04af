//! Noticing that training goes wrong: a loss that is not finite, embeddings that have all become alike.

use burn::tensor::Tensor;

use crate::error::TrainError;

/// Mean cosine between different images of a batch above which embeddings count as collapsed.
const COLLAPSE: f64 = 0.995;
/// Steps in a row before it is said.
const PATIENCE: u32 = 20;

/// Watches the steps of a run.
#[derive(Debug, Default)]
pub struct Health {
    collapsed_steps: u32,
    warned: bool,
}

impl Health {
    /// Looks at one step: its loss and its unit embeddings `[B, E]`; the warning, when there is something to say.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if the loss is not finite.
    pub fn check(&mut self, step: u64, loss: f64, embeddings: Tensor<2>) -> Result<Option<String>, TrainError> {
        if !loss.is_finite() {
            let hint = match step {
                0 => "nothing has been updated yet, so no learning rate is to blame: look at the settings of the loss",
                _ => "lower optimizer.lr and optimizer.lr_proxies; the last checkpoint is intact",
            };
            return Err(TrainError::Diverged {
                message: format!("the loss became {loss} at step {}", step + 1),
                hint: hint.into(),
            });
        }
        self.collapsed_steps = if mean_cosine(embeddings) > COLLAPSE { self.collapsed_steps + 1 } else { 0 };
        if self.collapsed_steps < PATIENCE || self.warned {
            return Ok(None);
        }
        self.warned = true;
        Ok(Some(format!(
            "the embeddings of different classes have been almost identical for {PATIENCE} steps (collapse)\n\
             hint: lower optimizer.lr, train more images per class, or use a smaller loss.proxy_anchor.negative_alpha"
        )))
    }
}

/// Mean cosine over all pairs of different rows.
fn mean_cosine(embeddings: Tensor<2>) -> f64 {
    let rows = embeddings.dims()[0] as f64;
    if rows < 2.0 {
        return 0.0;
    }
    // |sum of unit rows|² = B + sum over pairs of different rows.
    let sum = embeddings.without_autodiff().sum_dim(0);
    let squared = sum.square().sum().into_scalar::<f64>();
    (squared - rows) / (rows * (rows - 1.0))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn rows(values: Vec<f32>) -> Tensor<2> {
        let count = values.len() / 2;
        Tensor::from_data(TensorData::new(values, [count, 2]), &Device::flex())
    }

    #[test]
    fn a_loss_that_is_no_number_stops_the_run_with_a_hint() {
        let error = Health::default().check(4, f64::NAN, rows(vec![1.0, 0.0])).unwrap_err();
        assert!(error.to_string().contains("step 5") && error.hint().unwrap().contains("optimizer.lr"));
        let error = Health::default().check(0, f64::INFINITY, rows(vec![1.0, 0.0])).unwrap_err();
        assert!(error.hint().unwrap().contains("settings of the loss"));
    }

    #[test]
    fn collapse_is_said_once_and_only_when_it_lasts() {
        let (alike, apart) = (vec![1.0, 0.0, 1.0, 0.0], vec![1.0, 0.0, 0.0, 1.0]);
        let mut health = Health::default();
        let mut said = Vec::new();
        for step in 0..100 {
            let batch = if step == 10 { &apart } else { &alike };
            if health.check(step, 1.0, rows(batch.clone())).unwrap().is_some() {
                said.push(step);
            }
        }
        assert_eq!(said, [30]);
    }
}
