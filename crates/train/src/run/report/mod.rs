//! From finished runs to a `report.html`: figures, curves and sentences of the runs, and what `kinsight_report` samples
//! from their embeddings. `explanations` opens the encoder on pairs of images.

mod explanations;

use std::collections::BTreeMap;

use kinsight_data::{Dataset, Preprocess};
use kinsight_model::{Encoder, TrainingFacts};
use kinsight_report::Report;
use kinsight_report::run::samples::{Rankings, Samples};
use kinsight_report::run::{
    Chart, Curve, DataFacts, DataPart, MethodRole, MethodRow, NextStep, Quantity, ReferenceLine, Setting, Warning,
};

pub use explanations::evidence_of;

use super::story::RunStory;
use super::{LogRecord, RunFolder, SelectionState, read_log};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::evaluation::Measured;
use crate::trainer::RunFacts;

/// One finished run of a report.
#[derive(Debug)]
pub struct ReportedRun<'a> {
    /// Name of the method in table, curves and rankings.
    pub name: &'a str,
    /// A few words under the name.
    pub note: &'a str,
    /// Its folder.
    pub folder: &'a RunFolder,
    /// Sizes.
    pub facts: &'a RunFacts,
    /// What happened in it.
    pub training: &'a TrainingFacts,
    /// Final evaluation.
    pub measured: &'a Measured,
    /// Seconds of training.
    pub seconds: f64,
}

/// What a report is made of: the bare backbone's evaluation, and runs on the same test set, the last one featured.
#[derive(Debug)]
pub struct RunReport<'a> {
    /// Heading.
    pub title: String,
    /// What was trained on what.
    pub subtitle: String,
    /// Settings of the featured run.
    pub config: &'a TrainConfig,
    /// The bare backbone on the test set.
    pub zero_shot: &'a Measured,
    /// Finished runs, the featured one last.
    pub runs: Vec<ReportedRun<'a>>,
    /// Images measured on.
    pub test: &'a Dataset,
    /// The featured run's encoder and how its images are prepared, to show why it finds what it finds.
    pub encoder: Option<(&'a Encoder, Preprocess)>,
    /// What to do next: what it does, the command.
    pub next_steps: Vec<(String, String)>,
}

const ZERO_SHOT: &str = "Zero-shot";

/// Points of a curve: epoch and value.
type Points = Vec<(f64, f64)>;

impl RunReport<'_> {
    /// Builds the report; reads the images it shows.
    ///
    /// # Errors
    /// [`TrainError::Retrieval`] if neighbors cannot be found.
    pub fn build(&self) -> Result<Report, TrainError> {
        let logs: Vec<(&str, Vec<LogRecord>)> = self
            .runs
            .iter()
            .map(|run| Ok((run.name, read_log(&run.folder.log())?)))
            .collect::<Result<_, TrainError>>()?;
        let warnings = logs.iter().flat_map(|(_, log)| log).filter_map(|record| match record {
            LogRecord::Warning { message, .. } => {
                let (message, hint) = message.split_once("\nhint: ").unwrap_or((message, ""));
                Some(Warning { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) })
            }
            _ => None,
        });
        let mut unique: Vec<Warning> = Vec::new();
        for warning in warnings {
            if !unique.contains(&warning) {
                unique.push(warning);
            }
        }
        let methods = self.compared().into_iter().map(|(name, measured)| measured.as_method(name)).collect();
        let mut samples = Samples::new(self.test, methods, self.config.seed);
        let rankings = Rankings::of(&samples)?;
        Ok(Report {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            created: format!("kinsight {}, seed {}", env!("CARGO_PKG_VERSION"), self.config.seed),
            warnings: unique,
            methods: self.methods(),
            charts: self.charts(&logs),
            retrieval: Some(rankings.grid(&mut samples)),
            explanations: explanations::explain(self, &rankings, &samples)?,
            classes: rankings.class_scores(&mut samples),
            confusion: rankings.confusion(&mut samples),
            similarities: samples.similarities()?,
            map: samples.map()?,
            data: self.data(),
            settings: self.config.flattened().into_iter().map(|(key, value)| Setting { key, value }).collect(),
            next_steps: self.next_steps.iter().cloned().map(|(what, command)| NextStep { what, command }).collect(),
        })
    }

    fn methods(&self) -> Vec<MethodRow> {
        let scores = |measured: &Measured| MethodRow {
            recall_at_1: measured.evaluation.recall_at(1).unwrap_or(f64::NAN),
            recall_at: [2, 4, 8].into_iter().filter_map(|k| Some((k, measured.evaluation.recall_at(k)?))).collect(),
            map_at_r: measured.evaluation.map_at_r(),
            recall_at_1_interval: interval(measured, "recall@1"),
            map_at_r_interval: interval(measured, "map@r"),
            ..MethodRow::default()
        };
        let zero_shot = MethodRow {
            method: ZERO_SHOT.into(),
            role: MethodRole::Baseline,
            note: "the bare backbone".into(),
            ..scores(self.zero_shot)
        };
        let last = self.runs.len().saturating_sub(1);
        let runs = self.runs.iter().enumerate().map(|(i, run)| MethodRow {
            method: run.name.into(),
            role: if i == last { MethodRole::Featured } else { MethodRole::Compared },
            trainable_parameters: run.facts.trainable as u64,
            trainable_share: run.facts.trainable as f64 / run.facts.parameters.max(1) as f64,
            seconds: Some(run.seconds),
            note: run.note.into(),
            ..scores(run.measured)
        });
        std::iter::once(zero_shot).chain(runs).collect()
    }

    fn charts(&self, logs: &[(&str, Vec<LogRecord>)]) -> Vec<Chart> {
        let curves = |points: &dyn Fn(&[LogRecord]) -> Points| -> Vec<Curve> {
            logs.iter().map(|(name, log)| Curve { name: name.to_string(), points: points(log) }).collect()
        };
        let evaluations = |pick: fn(f64, f64) -> f64| {
            curves(&|log| {
                let points = log.iter().filter_map(|record| match record {
                    LogRecord::Evaluation { epochs, recall_at_1, map_at_r, .. } => {
                        Some((*epochs as f64, pick(*recall_at_1, *map_at_r)))
                    }
                    _ => None,
                });
                points.collect()
            })
        };
        let reference = |value| vec![ReferenceLine { name: ZERO_SHOT.into(), value }];
        let share = |title: &str, curves, level| Chart {
            title: title.into(),
            x_label: "epoch".into(),
            quantity: Quantity::Share,
            curves,
            references: reference(level),
        };
        let zero_shot = &self.zero_shot.evaluation;
        vec![
            Chart {
                title: "Training loss".into(),
                x_label: "epoch".into(),
                quantity: Quantity::Number,
                curves: curves(&mean_loss_by_epoch),
                references: Vec::new(),
            },
            share("Recall@1", evaluations(|recall, _| recall), zero_shot.recall_at(1).unwrap_or(f64::NAN)),
            share("MAP@R", evaluations(|_, map| map), zero_shot.map_at_r()),
        ]
    }

    /// The zero-shot figures and, if there is a run, the featured one's.
    fn compared(&self) -> Vec<(&str, &Measured)> {
        let featured = self.runs.last().map(|run| (run.name, run.measured));
        std::iter::once((ZERO_SHOT, self.zero_shot)).chain(featured).collect()
    }

    /// What the figures are of, and which of them may be quoted.
    fn notes(&self, run: &ReportedRun<'_>) -> Vec<String> {
        let story = RunStory(run.training);
        let mut notes = vec![story.overlap(), format!("Measured with {}.", story.search())];
        notes.extend(story.groups());
        match run.measured.unreadable.len() {
            0 => {}
            count => notes.push(format!("Test images that could not be read and were left out: {count}.")),
        }
        let selection = std::fs::read_to_string(run.folder.selection()).ok();
        let selection = selection.and_then(|text| serde_json::from_str::<SelectionState>(&text).ok());
        notes.extend(selection.iter().flat_map(SelectionState::sentences));
        notes
    }

    fn data(&self) -> Option<DataFacts> {
        let run = self.runs.last()?;
        let facts = run.facts;
        let part = |name: &str, (images, classes)| DataPart { name: name.into(), classes, images };
        Some(DataFacts {
            source: self.config.data.path.display().to_string(),
            parts: vec![part("train", facts.train), part("test", facts.test)],
            notes: self.notes(run),
        })
    }
}

fn interval(measured: &Measured, metric: &str) -> Option<(f64, f64)> {
    measured.evaluation.intervals.get(metric).map(|interval| (interval.low, interval.high))
}

fn mean_loss_by_epoch(log: &[LogRecord]) -> Points {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for record in log {
        if let LogRecord::Step { epoch, loss, .. } = record {
            let entry = sums.entry(epoch + 1).or_default();
            *entry = (entry.0 + loss, entry.1 + 1);
        }
    }
    sums.into_iter().map(|(epoch, (sum, count))| (epoch as f64, sum / count as f64)).collect()
}
