//! Embedding many images: the loader's batches through an encoder outside autodiff.
//!
//! [`embed_batches`] hands over one batch at a time and holds no more than that; [`embed_dataset`] gathers them in memory.

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
    /// Views of an image whose embeddings are averaged.
    pub views: Views,
}

/// Test-time augmentation: an image is embedded from several views, and its embedding is their mean brought to length
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Also the mirror image of each view.
    pub flip: bool,
    /// Also at other sizes: the shorter side resized to 7/8 and 5/4 of what the model asks for, before the center crop.
    pub scales: bool,
}

impl Views {
    /// The preprocessing of each size that is looked at, the model's own first.
    fn preprocessings(self, own: Preprocess) -> Vec<Preprocess> {
        let scaled = |numerator: u32, denominator: u32| {
            let size = (own.resize_size_px * numerator / denominator).clamp(1, Preprocess::MAX_SIDE_PX);
            Preprocess { resize_size_px: size, ..own }
        };
        if self.scales { vec![own, scaled(7, 8), scaled(5, 4)] } else { vec![own] }
    }
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self { batch_size: 32, loader: LoaderOptions::eval(), views: Views::default() }
    }
}

/// One batch of embeddings.
#[derive(Clone, Debug)]
pub struct EmbeddedBatch {
    /// Number of the batch, from 0.
    pub number: usize,
    /// Unit rows, `[n, dim]` row-major.
    pub values: Vec<f32>,
    /// Label of each row.
    pub labels: Vec<u32>,
    /// Index in the data set of each row.
    pub indices: Vec<usize>,
    /// Indices without a row, with reasons.
    pub skipped: Vec<(usize, String)>,
}

/// Embeds `dataset` batch by batch from batch `first` on; `take` gets each in order, and its error ends the walk.
///
/// What comes after a batch does not depend on what came before it, so a walk begun at a later batch gives the same rows.
///
/// # Errors
/// [`ModelError::Data`] if too many images are unreadable, and whatever `take` gives.
pub fn embed_batches<E: From<ModelError>>(
    encoder: &Encoder,
    dataset: &Arc<Dataset>,
    preprocess: Preprocess,
    options: EmbedOptions,
    first: usize,
    device: &Device,
    mut take: impl FnMut(EmbeddedBatch) -> Result<(), E>,
) -> Result<(), E> {
    let encoder = encoder.valid();
    let device = device.clone().without_autodiff();
    let batch_size = options.batch_size.max(1);
    let plan = || Plan::eval(dataset.len(), batch_size).starting_at(first);
    let mut walks = Vec::new();
    for preprocess in options.views.preprocessings(preprocess) {
        let loader = Loader::new(dataset.clone(), preprocess, options.loader).map_err(ModelError::from)?;
        let batches = loader.batches(plan()).map_err(ModelError::from)?;
        walks.push((loader, batches));
    }
    let Some(((loader, batches), others)) = walks.split_first_mut() else { return Ok(()) };
    for (number, batch) in (first..).zip(batches) {
        let batch = batch.map_err(ModelError::from)?;
        let mut skipped = Vec::new();
        let planned = number * batch_size..((number + 1) * batch_size).min(dataset.len());
        if batch.len() < planned.len() {
            let report = loader.unreadable().files;
            for index in planned.filter(|index| !batch.indices.contains(index)) {
                let path = &dataset.items[index].path;
                let reason = report.iter().find(|(file, _)| file == path).map(|(_, reason)| reason.clone());
                skipped.push((index, reason.unwrap_or_else(|| "cannot be read".to_owned())));
            }
        }
        let (labels, indices) = (batch.labels.clone(), batch.indices.clone());
        let mut views = vec![batch];
        for (_, batches) in &mut *others {
            let Some(batch) = batches.next() else { continue };
            views.push(batch.map_err(ModelError::from)?);
        }
        let values =
            if indices.is_empty() { Vec::new() } else { mean_of_views(&encoder, views, options.views, &device) };
        take(EmbeddedBatch { number, values, labels, indices, skipped })?;
    }
    Ok(())
}

/// Rows of one batch, seen in several ways.
fn mean_of_views(encoder: &Encoder, views: Vec<kinsight_data::Batch>, options: Views, device: &Device) -> Vec<f32> {
    let mut sum: Option<Tensor<2>> = None;
    let mut count = 0;
    let mut add = |rows: Tensor<2>| {
        sum = Some(match sum.take() {
            Some(sum) => sum + rows,
            None => rows,
        });
        count += 1;
    };
    for view in views {
        let shape = view.shape();
        let images = Tensor::<4>::from_data(TensorData::new(view.images, shape), device);
        if options.flip {
            add(encoder.forward(images.clone().flip([3])));
        }
        add(encoder.forward(images));
    }
    let rows = sum.map(|sum| if count > 1 { crate::head::l2_normalize(sum) } else { sum });
    rows.map(|rows| rows.into_data().iter::<f32>().collect()).unwrap_or_default()
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
    let mut embedded = Embedded {
        values: Vec::with_capacity(dataset.len() * encoder.embedding_size()),
        dim: encoder.embedding_size(),
        labels: Vec::with_capacity(dataset.len()),
        indices: Vec::with_capacity(dataset.len()),
        unreadable: Vec::new(),
    };
    embed_batches(encoder, dataset, preprocess, options, 0, device, |batch| {
        embedded.values.extend(batch.values);
        embedded.labels.extend(batch.labels);
        embedded.indices.extend(batch.indices);
        let named = batch.skipped.into_iter().map(|(index, reason)| (dataset.items[index].path.clone(), reason));
        embedded.unreadable.extend(named);
        progress(embedded.indices.len());
        Ok::<(), ModelError>(())
    })?;
    Ok(embedded)
}
