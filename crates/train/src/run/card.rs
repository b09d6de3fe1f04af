//! The model card of a run: what it is, how it was made, how well it does, how to use it.

use kinsight_model::TrainingFacts;
use kinsight_model::finetuned::FineTuningInfo;
use kinsight_retrieval::Evaluation;

use super::selection::SelectionState;
use super::story::RunStory;

/// What the card tells.
#[derive(Debug)]
pub struct ModelCard<'a> {
    /// Backbone and tuning.
    pub info: &'a FineTuningInfo,
    /// What happened in the run.
    pub facts: &'a TrainingFacts,
    /// Seed of the run.
    pub seed: u64,
    /// Evaluation of the kept state on the test classes.
    pub evaluation: &'a Evaluation,
    /// Trained scalars that are kept.
    pub trainable: usize,
    /// Images that could not be read, of those trained and of those measured on.
    pub unreadable: [usize; 2],
    /// Final, selected on validation, best on test.
    pub selection: &'a SelectionState,
}

impl ModelCard<'_> {
    /// The card as Markdown.
    pub fn to_markdown(&self) -> String {
        let Self { info, facts, seed, evaluation, trainable, unreadable, selection } = self;
        let story = RunStory(facts);
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
        let mut remarks = Vec::new();
        if !evaluation.intervals.is_empty() {
            remarks.push("Intervals: bootstrap over classes.".to_owned());
        }
        remarks.extend(story.groups());
        if unreadable.iter().any(|count| *count > 0) {
            let [train, test] = unreadable;
            remarks.push(format!(
                "Images that could not be read and were left out: {train} of training, {test} of the test."
            ));
        }
        format!(
            "# {method} on {data}\n\n\
             A fine-tuning of `{backbone}` by Kinsight {version}: `model.safetensors` holds the {trainable} trained \
             values alone, and needs the backbone with fingerprint `{fingerprint}`.\n\n\
             Trained {duration} (seed {seed}) on {trained_on}; measured {state} on {images} images of {measured_on}, \
             {search}.\n\n\
             | metric | value | 95 % interval |\n|---|---|---|\n{metrics}\n\
             {remarks}\n\n\
             {kept_apart}\n\
             All settings are in `config.toml`, the course of training in `log.jsonl`. `report.html`, which `kinsight train` \
             writes next to them, shows what the model finds and why.\n\n\
             ```\nkinsight eval --run . --data FOLDER\n```\n",
            method = facts.method,
            data = facts.data.file_name().unwrap_or_default().to_string_lossy(),
            backbone = info.backbone,
            version = info.version,
            fingerprint = info.backbone_fingerprint,
            duration = story.duration(),
            trained_on = story.trained_on(),
            state = story.state(),
            images = facts.test.images,
            measured_on = story.measured_on(),
            search = story.search(),
            remarks = remarks.join(" "),
            kept_apart = selection.sentences().iter().map(|line| format!("- {line}\n")).collect::<String>(),
        )
    }
}
