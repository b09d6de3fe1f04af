//! Measuring an encoder on a data set.

use std::sync::Arc;

use burn::tensor::Device;
use kinsight_data::{Dataset, Preprocess, Protocol};
use kinsight_model::Encoder;
use kinsight_model::embedder::{EmbedOptions, Embedded, embed_dataset};
use kinsight_model::engine::release_idle_memory;
use kinsight_report::run::samples::MethodResult;
use kinsight_retrieval::{EvalConfig, Evaluation, UnitEmbeddings, evaluate_roles};

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
    /// Rows that search.
    pub queries: Vec<usize>,
    /// Rows that are searched; a row that is also a query is left out of its own results.
    pub gallery: Vec<usize>,
    /// Images that could not be read, with reasons.
    pub unreadable: Vec<(std::path::PathBuf, String)>,
}

impl Measured {
    /// The measurement under the name of its method, as reports take it.
    pub fn as_method<'a>(&'a self, name: &'a str) -> MethodResult<'a> {
        let Self { evaluation, embeddings, labels, indices, queries, gallery, .. } = self;
        MethodResult { name, embeddings, labels, indices, queries, gallery, evaluation }
    }

    /// What each query scores, for comparisons with other runs; the means are those of [`Measured::evaluation`].
    pub fn query_scores(&self) -> RunQueries {
        let indices = self.queries.iter().map(|row| self.indices[*row]).collect();
        let labels = self.queries.iter().map(|row| self.labels[*row]).collect();
        RunQueries { indices, labels, scores: self.evaluation.query_scores.clone() }
    }
}

/// Embeds `dataset` and measures it by `protocol`; by default every image searches among the others.
///
/// # Errors
/// [`TrainError::Data`] if too many images are unreadable; [`TrainError::Retrieval`] if nothing can be measured.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and none has a sensible default")]
pub fn measure(
    encoder: &Encoder,
    dataset: &Arc<Dataset>,
    protocol: &Protocol,
    preprocess: Preprocess,
    options: EmbedOptions,
    config: &EvalConfig,
    device: &Device,
    progress: impl FnMut(usize),
) -> Result<Measured, TrainError> {
    let Embedded { values, dim, labels, indices, unreadable } =
        embed_dataset(encoder, dataset, preprocess, options, device, progress)?;
    // The search gets the memory that the blocks worked in.
    release_idle_memory();
    let embeddings = UnitEmbeddings::new(values, dim)?;
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    let protocol = protocol.select(&indices);
    let rows = |has: &dyn Fn(usize) -> bool| -> Vec<usize> { (0..labels.len()).filter(|&row| has(row)).collect() };
    let (queries, gallery) = (rows(&|row| protocol.is_query(row)), rows(&|row| protocol.is_in_gallery(row)));
    let evaluation = evaluate_roles(&embeddings, &labels, &queries, &gallery, config)?;
    Ok(Measured { evaluation, embeddings, labels, indices, queries, gallery, unreadable })
}
