//! Starting values of everything that training adds to a backbone.

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::Tuning;
use kinsight_model::encoder::FreshTuning;
use kinsight_model::head::EmbeddingHead;
use kinsight_model::parameters::{ParameterSource, normal_values, xavier_uniform};
use kinsight_model::prompts::{PromptSchedule, PromptTables};
use rand_chacha::ChaCha8Rng;

/// A source for a fresh [`crate::learner::Learner`]: the backbone from `backbone`, all else drawn from `rng`.
pub struct FreshLearner<'a, S> {
    backbone: &'a mut S,
    tuning: &'a Tuning,
    rng: &'a mut ChaCha8Rng,
}

impl<'a, S: ParameterSource> FreshLearner<'a, S> {
    /// `backbone` is asked for names without any prefix.
    pub fn new(backbone: &'a mut S, tuning: &'a Tuning, rng: &'a mut ChaCha8Rng) -> Self {
        Self { backbone, tuning, rng }
    }
}

impl<S: ParameterSource> ParameterSource for FreshLearner<'_, S> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        if let Some(inner) = name.strip_prefix("encoder.") {
            return FreshTuning::new(self.backbone, self.tuning, self.rng).values(inner, shape);
        }
        match (name, shape) {
            // Learned proxies: Xavier uniform / 8, so that O starts small against the unit rows of Z.
            ("proxies", [rows, columns]) => {
                xavier_uniform(self.rng, *rows, *columns).into_iter().map(|v| v / 8.0).collect()
            }
            (_, [classes, count, width]) => class_prompt_values(self.rng, *classes, *count, *width),
            _ if name.contains(".head.") => EmbeddingHead::initial_values(name, shape, self.rng),
            (_, [rows, columns]) => xavier_uniform(self.rng, *rows, *columns),
            _ => vec![0.0; shape.iter().product()],
        }
    }

    fn device(&self) -> &Device {
        self.backbone.device()
    }
}

fn class_prompt_values(rng: &mut ChaCha8Rng, classes: usize, count: usize, width: usize) -> Vec<f32> {
    normal_values(rng, classes * count * width, PromptTables::init_std(classes, count, width))
}

/// Starting rows of one block of a prompt memory bank, `[C, P, D]`.
pub fn bank_values(rng: &mut ChaCha8Rng, classes: usize, schedule: PromptSchedule, width: usize) -> Vec<f32> {
    class_prompt_values(rng, classes, schedule.count, width)
}

/// The proxy memory before training: Xavier uniform, rows normalized; `[C, E]`.
pub fn initial_proxy_memory(rng: &mut ChaCha8Rng, classes: usize, embedding: usize, device: &Device) -> Tensor<2> {
    let values = TensorData::new(xavier_uniform(rng, classes, embedding), [classes, embedding]);
    kinsight_model::head::l2_normalize(Tensor::from_data(values, device))
}
