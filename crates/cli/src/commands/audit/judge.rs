//! The model that looks at the images.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_data::inspect::Inspection;
use kinsight_data::{Dataset, Preprocess, Split};
use kinsight_model::backbone::registry::BUILT_IN;
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_model::finetuned::{load_fine_tuned, read_info};
use kinsight_model::{Backbone, Compute, Encoder};
use kinsight_retrieval::UnitEmbeddings;
use kinsight_train::TrainConfig;
use kinsight_train::run::RunFolder;

use super::AuditArgs;
use super::images::Images;
use crate::commands::settings::apply;
use crate::progress::counting_bar;

/// An encoder, and the run it is from if it is from one.
pub struct Judge {
    /// What to call it.
    pub name: String,
    /// How images are prepared for it.
    pub preprocess: Preprocess,
    encoder: Encoder,
    device: Device,
    run: Option<(RunFolder, TrainConfig)>,
}

/// Embeddings of the images that could be read.
pub struct Judged {
    /// Unit rows.
    pub embeddings: UnitEmbeddings,
    /// Which image each row is.
    pub images: Vec<usize>,
}

impl Judge {
    pub fn load(arguments: &AuditArgs) -> Result<Self> {
        let device = Device::flex();
        let mut compute = Compute::default();
        let mut judge = match &arguments.run {
            None => {
                let backbone = Backbone::open(arguments.backbone.as_deref().unwrap_or(BUILT_IN), None)?;
                let encoder = Encoder::bare(&backbone, None, &device)?;
                Self { name: backbone.name, preprocess: backbone.preprocess, encoder, device, run: None }
            }
            Some(path) => {
                let folder = RunFolder::at(path);
                let config = folder.read_config()?;
                let info = read_info(&folder.model()).with_context(|| {
                    format!("{} has no finished fine-tuning; finish it with `kinsight train --resume`", path.display())
                })?;
                let name = arguments.backbone.as_deref().unwrap_or(&info.backbone);
                let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize))?;
                let encoder = load_fine_tuned(&folder.model(), &backbone, &device)?;
                compute = config.compute;
                let name = format!("{} with {}", backbone.name, config.method);
                Self { name, preprocess: info.preprocess, encoder, device, run: Some((folder, config)) }
            }
        };
        apply(&arguments.compute, &mut compute);
        judge.encoder.backbone.compute = compute;
        Ok(judge)
    }

    /// Settings of the run.
    pub fn config(&self) -> Option<&TrainConfig> {
        self.run.as_ref().map(|(_, config)| config)
    }

    /// Embeds what can be read; none with fewer than two images.
    pub fn embed(&self, images: &Images, inspections: &[Inspection], arguments: &AuditArgs) -> Result<Option<Judged>> {
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
        let embedded = embed_dataset(&self.encoder, &dataset, self.preprocess, options, &self.device, |done| {
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let embedded = embedded?;
        Ok(Some(Judged {
            embeddings: UnitEmbeddings::new(embedded.values, embedded.dim)?,
            images: embedded.indices.into_iter().map(|index| readable[index]).collect(),
        }))
    }

    /// The run's proxies by label, for the classes it was trained on.
    pub fn proxies(&self, images: &Images) -> Result<BTreeMap<i64, Vec<f32>>> {
        let Some((folder, config)) = &self.run else { return Ok(BTreeMap::new()) };
        let Some(proxies) = folder.class_proxies(config)? else { return Ok(BTreeMap::new()) };
        let trained = match Split::load(&config.data.path, config.data.split, true) {
            Ok(split) if split.train.class_names.len() == proxies.len() => split.train.class_names,
            // The images that the run was trained on are gone or changed: nobody knows whose proxy is whose.
            _ => {
                eprintln!(
                    "warning: the training classes of the run cannot be read any more; labels are judged without its proxies"
                );
                return Ok(BTreeMap::new());
            }
        };
        let labels: BTreeMap<&str, i64> =
            images.class_names.iter().enumerate().map(|(label, name)| (name.as_str(), label as i64)).collect();
        let known = trained.iter().zip(proxies).filter_map(|(name, proxy)| Some((*labels.get(name.as_str())?, proxy)));
        Ok(known.collect())
    }
}
