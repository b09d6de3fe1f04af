//! The embedding head: what turns a pooled token into an embedding.

use burn::module::Module;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use crate::parameters::{ParameterSource, xavier_uniform};
use crate::vit::{LayerNorm, Linear};

/// A fresh LayerNorm (epsilon 1e-5) and a linear layer to the embedding size.
#[derive(Module, Debug)]
pub struct EmbeddingHead {
    /// `[D]`
    pub norm: LayerNorm,
    /// `[E, D]`
    pub projection: Linear,
}

impl EmbeddingHead {
    /// Reads `name.norm` and `name.projection`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, width: usize, embedding: usize) -> Self {
        Self {
            norm: LayerNorm::from_source(source, &format!("{name}.norm"), width, 1e-5),
            projection: Linear::from_source(source, &format!("{name}.projection"), width, embedding, true),
        }
    }

    /// Size of the embedding.
    pub fn embedding_size(&self) -> usize {
        self.projection.weight.dims()[0]
    }

    /// Embeddings before normalization.
    ///
    /// # Shapes
    /// `[B, D]` to `[B, E]`
    pub fn forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.projection.forward(self.norm.forward(pooled))
    }

    /// The starting value of the head's parameter `name`: Xavier uniform projection, zero biases, unit norm.
    pub fn initial_values(name: &str, shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<f32> {
        match shape {
            [rows, columns] => xavier_uniform(rng, *rows, *columns),
            _ if name.ends_with(".weight") => vec![1.0; shape.iter().product()],
            _ => vec![0.0; shape.iter().product()],
        }
    }
}

/// Divides each row by its Euclidean norm, or by 1e-12 if that is larger (`torch.nn.functional.normalize`).
///
/// # Shapes
/// `[N, E]` to `[N, E]`
pub fn l2_normalize(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    rows / norm
}
