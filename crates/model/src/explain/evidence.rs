//! The similarity of two images as a sum over pairs of patches.

use super::trace::Trace;

/// Why two images are as similar as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Cosine similarity of the embeddings.
    pub similarity: f64,
    /// Patches along one side of an image.
    pub grid: usize,
    /// Part of the similarity that patch i of the first image and patch j of the second have together, `[n, n]` with
    /// i the row and `n = grid * grid`; may be negative.
    pub patches: Vec<f32>,
    /// Part of the similarity that patch i of the first image has with all of the second, `[n]`.
    pub from_first: Vec<f32>,
    /// The same for the second image, `[n]`.
    pub from_second: Vec<f32>,
    /// What no pair of patches explains: class token, prompts and biases of either image.
    pub rest: f64,
    /// Cosine similarities of the final patch tokens, `[n, n]`: which places look alike to the model, whether or not
    /// its embedding makes use of it.
    pub correspondence: Vec<f32>,
}

impl Trace {
    /// Compares two images, of one encoder, part by part.
    pub fn evidence(&self, other: &Trace) -> Evidence {
        let size = self.embedding.len();
        let patches = products(&self.patches, &other.patches, size);
        let similarity = dot(&self.embedding, &other.embedding);
        let between_patches: f64 = patches.iter().map(|part| f64::from(*part)).sum();
        Evidence {
            similarity,
            grid: self.grid(),
            from_first: self.patches.chunks_exact(size).map(|part| dot(part, &other.embedding) as f32).collect(),
            from_second: other.patches.chunks_exact(size).map(|part| dot(&self.embedding, part) as f32).collect(),
            rest: similarity - between_patches,
            correspondence: products(&self.tokens, &other.tokens, self.width),
            patches,
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

/// Inner products of the rows of `a` and `b`, each row `size` wide.
fn products(a: &[f32], b: &[f32], size: usize) -> Vec<f32> {
    a.chunks_exact(size).flat_map(|a| b.chunks_exact(size).map(move |b| dot(a, b) as f32)).collect()
}
