//! Measuring an encoder on a data set.

use std::sync::Arc;

use burn::tensor::Device;
use kinsight_data::{Dataset, Preprocess};
use kinsight_model::Encoder;
use kinsight_model::embedder::{EmbedOptions, Embedded, embed_dataset};
use kinsight_retrieval::{EvalConfig, Evaluation, UnitEmbeddings, evaluate_self, query_scores};

use crate::error::TrainError;
use crate::run::RunQueries;

/// An evaluation with the embeddings it was computed from.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Metrics.
    pub evaluation: Evaluation,
    /// Embeddings of the images that could be read.
    pub embeddings: UnitEmbeddings,
    /// Label of each row.
    pub labels: Vec<i64>,
    /// Index in the data set of each row.
    pub indices: Vec<usize>,
    /// Images that could not be read, with reasons.
    pub unreadable: Vec<(std::path::PathBuf, String)>,
}

impl Measured {
    /// What each query scores, for comparisons with other runs.
    ///
    /// # Errors
    /// [`TrainError::Retrieval`] if there is nothing to search.
    pub fn query_scores(&self) -> Result<RunQueries, TrainError> {
        let scores = query_scores(&self.embeddings, &self.labels, EvalConfig::default().max_memory_bytes)?;
        Ok(RunQueries { indices: self.indices.clone(), scores })
    }
}

/// Embeds `dataset` and lets every image search among the others.
///
/// # Errors
/// [`TrainError::Data`] if too many images are unreadable; [`TrainError::Retrieval`] if nothing can be measured.
pub fn measure(
    encoder: &Encoder,
    dataset: &Arc<Dataset>,
    preprocess: Preprocess,
    options: EmbedOptions,
    config: &EvalConfig,
    device: &Device,
    progress: impl FnMut(usize),
) -> Result<Measured, TrainError> {
    let Embedded { values, dim, labels, indices, unreadable } =
        embed_dataset(encoder, dataset, preprocess, options, device, progress)?;
    let embeddings = UnitEmbeddings::new(values, dim)?;
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    let evaluation = evaluate_self(&embeddings, &labels, config)?;
    Ok(Measured { evaluation, embeddings, labels, indices, unreadable })
}
