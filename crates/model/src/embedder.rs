//! Embedding many images: the loader's batches through an encoder outside autodiff.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_data::{Dataset, Loader, LoaderOptions, Plan, Preprocess};

use crate::encoder::Encoder;
use crate::error::ModelError;

/// Embeddings of a data set; unreadable images have no row.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Unit rows, `[n, dim]` row-major.
    pub values: Vec<f32>,
    /// Size of an embedding.
    pub dim: usize,
    /// Label of each row.
    pub labels: Vec<u32>,
    /// Index in the data set of each row.
    pub indices: Vec<usize>,
    /// Images that could not be read, with reasons.
    pub unreadable: Vec<(std::path::PathBuf, String)>,
}

/// How a data set is embedded.
#[derive(Clone, Copy, Debug)]
pub struct EmbedOptions {
    /// Images a forward pass.
    pub batch_size: usize,
    /// What the loader may do.
    pub loader: LoaderOptions,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self { batch_size: 32, loader: LoaderOptions::eval() }
    }
}

/// Embeds every image of `dataset` with `encoder`, in order; `progress` hears how many are done.
///
/// # Errors
/// [`ModelError::Data`] if too many images are unreadable.
pub fn embed_dataset(
    encoder: &Encoder,
    dataset: &Arc<Dataset>,
    preprocess: Preprocess,
    options: EmbedOptions,
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<Embedded, ModelError> {
    let encoder = encoder.valid();
    let device = device.clone().without_autodiff();
    let loader = Loader::new(dataset.clone(), preprocess, options.loader)?;
    let mut embedded = Embedded {
        values: Vec::with_capacity(dataset.len() * encoder.embedding_size()),
        dim: encoder.embedding_size(),
        labels: Vec::with_capacity(dataset.len()),
        indices: Vec::with_capacity(dataset.len()),
        unreadable: Vec::new(),
    };
    for batch in loader.batches(Plan::eval(dataset.len(), options.batch_size.max(1)))? {
        let batch = batch?;
        if !batch.is_empty() {
            let shape = batch.shape();
            embedded.labels.extend(&batch.labels);
            embedded.indices.extend(&batch.indices);
            let images = Tensor::<4>::from_data(TensorData::new(batch.images, shape), &device);
            embedded.values.extend(encoder.forward(images).into_data().iter::<f32>());
        }
        progress(embedded.indices.len());
    }
    embedded.unreadable = loader.unreadable().files;
    Ok(embedded)
}
