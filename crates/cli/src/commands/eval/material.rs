//! What is judged: embeddings with their labels and roles, from a model or from files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use kinsight_data::{Dataset, Protocol};
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_model::{EmbeddingModel, ModelRef};
use kinsight_retrieval::UnitEmbeddings;
use kinsight_retrieval::io::{LabelColumn, labels_beside, read_embeddings, read_label_column};
use kinsight_train::run::RunFolder;

use super::{EvalArgs, TtaArg};
use crate::context::Context as Computing;
use crate::progress::counting_bar;

/// Embeddings and all that is known of them.
pub struct Material {
    /// What they are of.
    pub name: String,
    /// Rows: queries and gallery alike.
    pub embeddings: UnitEmbeddings,
    /// Label of each row.
    pub labels: Vec<i64>,
    /// Name of label 0, 1, ...; empty where labels are plain numbers.
    pub class_names: Vec<String>,
    /// Who asks and who answers, row by row.
    pub protocol: Protocol,
    /// A separate gallery.
    pub gallery: Option<Gallery>,
    /// Embeddings to fit a whitening to.
    pub training: Option<UnitEmbeddings>,
    /// Images without a row.
    pub skipped: Vec<String>,
}

/// Gallery rows from a file of their own.
pub struct Gallery {
    /// Rows.
    pub embeddings: UnitEmbeddings,
    /// Label of each row, numbered as those of the queries.
    pub labels: Vec<i64>,
}

impl Material {
    /// What a label is called.
    pub fn class_name(&self, label: i64) -> String {
        let name = usize::try_from(label).ok().and_then(|place| self.class_names.get(place));
        name.cloned().unwrap_or_else(|| label.to_string())
    }

    /// Number of different labels.
    pub fn classes(&self) -> usize {
        self.labels.iter().collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Reads embeddings that are already computed.
pub fn from_files(arguments: &EvalArgs, path: &Path) -> Result<Material> {
    let column = arguments.embedding_column.as_deref();
    let embeddings = read_embeddings(path, column)?;
    let mut labels = labels_of(path, arguments.labels.as_deref(), arguments)?;
    let gallery = match &arguments.gallery {
        None => None,
        Some(path) => {
            let rows = read_embeddings(path, column)?;
            let mut answers = labels_of(path, arguments.gallery_labels.as_deref(), arguments)?;
            number_alike(&mut labels, &mut answers)?;
            Some(Gallery { embeddings: rows, labels: answers.labels })
        }
    };
    let training = arguments.training_embeddings.as_deref().map(|path| read_embeddings(path, column)).transpose()?;
    let protocol = Protocol::default();
    let name = path.display().to_string();
    let LabelColumn { labels, names: class_names } = labels;
    let mut material =
        Material { name, embeddings, labels, class_names, protocol, gallery, training, skipped: Vec::new() };
    if let Some(only) = &arguments.images.only_classes {
        let wanted: Vec<&str> = only.split(',').map(str::trim).collect();
        let rows: Vec<usize> = (0..material.labels.len())
            .filter(|&row| wanted.contains(&material.class_name(material.labels[row]).as_str()))
            .collect();
        anyhow::ensure!(!rows.is_empty(), "--only-classes: no row has one of the labels {only}");
        material.embeddings = material.embeddings.select(&rows)?;
        material.labels = rows.iter().map(|&row| material.labels[row]).collect();
    }
    Ok(material)
}

fn labels_of(embeddings: &Path, labels: Option<&Path>, arguments: &EvalArgs) -> Result<LabelColumn> {
    let beside = || labels_beside(embeddings);
    let path = labels.map(Path::to_path_buf).or_else(beside).with_context(|| {
        format!(
            "no labels for {}: give them with --labels, or put {} next to it",
            embeddings.display(),
            embeddings.with_extension("labels.npy").display()
        )
    })?;
    Ok(read_label_column(&path, arguments.label_column.as_deref())?)
}

/// Names stand for the same numbers on both sides.
fn number_alike(queries: &mut LabelColumn, gallery: &mut LabelColumn) -> Result<()> {
    if queries.names.is_empty() && gallery.names.is_empty() {
        return Ok(());
    }
    anyhow::ensure!(
        !queries.names.is_empty() && !gallery.names.is_empty(),
        "labels are names on one side but numbers on the other"
    );
    let names: std::collections::BTreeSet<&String> = queries.names.iter().chain(&gallery.names).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    for side in [queries, gallery] {
        let new: Vec<i64> =
            side.names.iter().map(|name| names.binary_search(name).map_or(-1, |place| place as i64)).collect();
        side.labels.iter_mut().for_each(|label| *label = new[*label as usize]);
        side.names.clone_from(&names);
    }
    Ok(())
}

/// Embeds images with a run's model or a bare backbone.
pub fn from_model(arguments: &EvalArgs, context: &Computing) -> Result<Material> {
    let model = ModelRef { run: arguments.run.clone(), backbone: arguments.backbone.clone() };
    let model = context.model(&model)?;
    let config = arguments.run.as_deref().map(|run| RunFolder::at(run).read_config()).transpose()?;
    let images = arguments.images.load(config.as_ref())?;
    let embedded = embed(arguments, &model, images.dataset)?;
    let protocol = images.protocol.select(&embedded.indices);
    let training = match images.train {
        Some(train) if arguments.whitens() => Some(embed(arguments, &model, train)?.embeddings),
        _ => None,
    };
    Ok(Material {
        name: match config {
            Some(_) => model.name,
            None => format!("{} (zero-shot)", model.name),
        },
        embeddings: embedded.embeddings,
        labels: embedded.labels,
        class_names: embedded.class_names,
        protocol,
        gallery: None,
        training,
        skipped: embedded.skipped,
    })
}

struct EmbeddedImages {
    embeddings: UnitEmbeddings,
    labels: Vec<i64>,
    indices: Vec<usize>,
    class_names: Vec<String>,
    skipped: Vec<String>,
}

fn embed(arguments: &EvalArgs, model: &EmbeddingModel, dataset: Dataset) -> Result<EmbeddedImages> {
    let dataset = Arc::new(dataset);
    let options = EmbedOptions {
        batch_size: arguments.batch_size,
        views: TtaArg::views(&arguments.tta),
        ..EmbedOptions::default()
    };
    let bar = counting_bar("embedding", dataset.len(), "images");
    let embedded = embed_dataset(&model.encoder, &dataset, model.preprocess, options, &model.device, |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let embedded = embedded?;
    for (path, reason) in &embedded.unreadable {
        eprintln!("warning: skipped {}: {reason}", path.display());
    }
    Ok(EmbeddedImages {
        embeddings: UnitEmbeddings::new(embedded.values, embedded.dim)?,
        labels: embedded.labels.into_iter().map(i64::from).collect(),
        indices: embedded.indices,
        class_names: dataset.class_names.clone(),
        skipped: embedded.unreadable.iter().map(|(path, _)| path.display().to_string()).collect(),
    })
}
