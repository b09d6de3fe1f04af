//! The model card of a run: what it is, how it was made, how well it does, how to use it.

use kinsight_model::finetuned::FineTuningInfo;
use kinsight_retrieval::Evaluation;

use crate::config::TrainConfig;

/// What the card tells.
#[derive(Debug)]
pub struct ModelCard<'a> {
    /// Settings of the run.
    pub config: &'a TrainConfig,
    /// Backbone and tuning.
    pub info: &'a FineTuningInfo,
    /// Final evaluation on the test classes.
    pub evaluation: &'a Evaluation,
    /// Trained scalars that are kept.
    pub trainable: usize,
    /// Train and test: images and classes.
    pub sizes: [(usize, usize); 2],
}

impl ModelCard<'_> {
    /// The card as Markdown.
    pub fn to_markdown(&self) -> String {
        let Self { config, info, evaluation, trainable, sizes } = self;
        let [(train_images, train_classes), (test_images, test_classes)] = *sizes;
        let percent = |value: f64| format!("{:.1} %", 100.0 * value);
        let mut metrics = String::new();
        for (name, value) in &evaluation.metrics {
            if name.starts_with("recall@") && !name.contains('/') || name == "map@r" || name == "r_precision" {
                let interval = evaluation.intervals.get(name);
                let interval = interval.map_or_else(String::new, |interval| {
                    format!("{} to {}", percent(interval.low), percent(interval.high))
                });
                metrics.push_str(&format!("| {name} | {} | {interval} |\n", percent(*value)));
            }
        }
        format!(
            "# {method} on {data}\n\n\
             A fine-tuning of `{backbone}` by Kinsight {version}: `model.safetensors` holds the {trainable} trained \
             values alone, and needs the backbone with fingerprint `{fingerprint}`.\n\n\
             Trained for {epochs} (seed {seed}) on {train_images} images of {train_classes} classes; measured \
             after the last epoch on {test_images} images of {test_classes} classes that it never saw, every image \
             searching among the others.\n\n\
             | metric | value | 95 % interval |\n|---|---|---|\n{metrics}\n\
             Intervals: bootstrap over classes.\n\n\
             `report.html` shows what it finds and why. All settings are in `config.toml`, the course of training in \
             `log.jsonl`.\n\n\
             ```\nkinsight eval --run . --data FOLDER\n```\n",
            method = config.method,
            data = config.data.path.file_name().unwrap_or_default().to_string_lossy(),
            backbone = info.backbone,
            version = info.version,
            fingerprint = info.backbone_fingerprint,
            epochs = match config.epochs {
                1 => "1 epoch".to_string(),
                many => format!("{many} epochs"),
            },
            seed = config.seed,
        )
    }
}
