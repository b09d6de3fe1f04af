//! What turns prepared images into vectors, as this crate sees it.

use kinsight_data::Preprocess;

use crate::fingerprint::Fingerprint;

/// A model with its identity.
///
/// The crate decodes and prepares images itself, one after another, so that a batch of large photographs is never in
/// memory as a whole; the model sees prepared pixels only.
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
    /// The model's error.
    fn embed(&self, images: Vec<f32>, count: usize) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>>;
}
