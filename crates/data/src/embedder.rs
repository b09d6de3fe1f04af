//! What turns prepared images into vectors, as those see it who know no tensors.

use std::error::Error;

use crate::fingerprint::Fingerprint;
use crate::preprocess::Preprocess;

/// An embedding model with its identity: the seam between `kinsight-model`, which implements it, and `kinsight-index`, which
/// uses it.
///
/// Callers decode and prepare images themselves, one after another, so a batch of large photographs is never in memory at
/// once; the model sees prepared pixels only.
pub trait ImageEmbedder {
    /// Which model it is.
    fn fingerprint(&self) -> &Fingerprint;

    /// How its images are prepared.
    fn preprocess(&self) -> Preprocess;

    /// Embeds `count` prepared images; unit rows in the same order.
    ///
    /// # Shapes
    /// `images` `[count, 3, S, S]` with S the preprocessing's input size; the result `[count, embedding]`.
    ///
    /// # Errors
    /// Returns the model's error.
    fn embed(&self, images: Vec<f32>, count: usize) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>>;
}
