//! The model that looks at the images.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use kinsight_audit::{Embedded, Images};
use kinsight_data::Dataset;
use kinsight_data::inspect::Inspection;
use kinsight_model::backbone::registry::BUILT_IN;
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_model::{EmbeddingModel, ModelRef};
use kinsight_retrieval::UnitEmbeddings;
use kinsight_train::TrainConfig;
use kinsight_train::run::RunFolder;

use super::AuditArgs;
use crate::progress::counting_bar;

/// A model, and the run it is from if it is from one.
pub struct Judge {
    /// The model.
    pub model: EmbeddingModel,
    run: Option<(RunFolder, TrainConfig)>,
}

impl Judge {
    pub fn load(arguments: &AuditArgs) -> Result<Self> {
        let context = arguments.compute.resolve()?;
        let (run, mut backbone) = (arguments.run.clone(), arguments.backbone.clone());
        if run.is_none() {
            backbone.get_or_insert_with(|| BUILT_IN.to_owned());
        }
        let folder = run.as_deref().map(RunFolder::at);
        let model = context.model(&ModelRef { run, backbone })?;
        let run = folder.map(|folder| anyhow::Ok((folder.clone(), folder.read_config()?))).transpose()?;
        Ok(Self { model, run })
    }

    /// Settings of the run.
    pub fn config(&self) -> Option<&TrainConfig> {
        self.run.as_ref().map(|(_, config)| config)
    }

    /// Embeds what can be read; none with fewer than two images.
    pub fn embed(
        &self,
        images: &Images,
        inspections: &[Inspection],
        arguments: &AuditArgs,
    ) -> Result<Option<Embedded>> {
        let readable: Vec<usize> = (0..images.items.len()).filter(|index| inspections[*index].image.is_ok()).collect();
        if readable.len() < 2 {
            return Ok(None);
        }
        let dataset = Arc::new(Dataset {
            root: arguments.dir.clone(),
            items: readable.iter().map(|index| images.items[*index].clone()).collect(),
            class_names: images.class_names.clone(),
        });
        let bar = counting_bar("embedding", dataset.len(), "images");
        let options = EmbedOptions { batch_size: arguments.batch_size, ..EmbedOptions::default() };
        let EmbeddingModel { encoder, preprocess, device, .. } = &self.model;
        let embedded = embed_dataset(encoder, &dataset, *preprocess, options, device, |done| {
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let embedded = embedded?;
        Ok(Some(Embedded {
            embeddings: UnitEmbeddings::new(embedded.values, embedded.dim)?,
            images: embedded.indices.into_iter().map(|index| readable[index]).collect(),
        }))
    }

    /// The run's proxies by label, for the classes it was trained on.
    pub fn proxies(&self, images: &Images) -> Result<BTreeMap<i64, Vec<f32>>> {
        let Some((folder, _)) = &self.run else { return Ok(BTreeMap::new()) };
        let Some(proxies) = folder.class_proxies()? else {
            if self.model.training.is_none() {
                eprintln!(
                    "warning: an older version trained the run and did not store its classes; labels are judged without its \
                     proxies"
                );
            }
            return Ok(BTreeMap::new());
        };
        let labels: BTreeMap<&str, i64> =
            images.class_names.iter().enumerate().map(|(label, name)| (name.as_str(), label as i64)).collect();
        let known = proxies.by_class().filter_map(|(name, proxy)| Some((*labels.get(name)?, proxy)));
        Ok(known.collect())
    }
}
