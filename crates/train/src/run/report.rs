//! From finished runs to a `report.html`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kinsight_data::Dataset;
use kinsight_data::thumbnail::thumbnail_of_file;
use kinsight_retrieval::{KnnConfig, Neighbours, search_self};
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{LogRecord, RunFolder, SelectionState, read_log};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::evaluation::Measured;
use crate::report::{
    Chart, ClassScore, ClassScores, Curve, DataFacts, DataPart, Hit, MethodRole, MethodRow, NextStep, Picture,
    PictureFormat, Quantity, Ranking, ReferenceLine, Report, RetrievalGrid, RetrievalRow, Setting, Warning,
};
use crate::trainer::RunFacts;

const QUERIES: usize = 12;
const HITS: usize = 5;
const THUMBNAIL_PX: u32 = 160;

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
    /// [`TrainError::Retrieval`] if neighbours cannot be found.
    pub fn build(&self) -> Result<Report, TrainError> {
        let logs: Vec<(&str, Vec<LogRecord>)> =
            self.runs.iter().map(|run| (run.name, read_log(&run.folder.log()))).collect();
        let warnings = logs.iter().flat_map(|(_, log)| log).filter_map(|record| match record {
            LogRecord::Warning { message, .. } => {
                let (message, hint) = message.split_once("\nhint: ").unwrap_or((message, ""));
                Some(Warning { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) })
            }
            _ => None,
        });
        let mut unique: Vec<Warning> = Vec::new();
        warnings.for_each(|warning| {
            if !unique.contains(&warning) {
                unique.push(warning)
            }
        });
        Ok(Report {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            created: format!("kinsight {}, seed {}", env!("CARGO_PKG_VERSION"), self.config.seed),
            warnings: unique,
            methods: self.methods(),
            charts: self.charts(&logs),
            retrieval: Some(self.retrieval()?),
            classes: self.classes()?,
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
            ..MethodRow::default()
        };
        let zero_shot = MethodRow {
            method: ZERO_SHOT.into(),
            role: MethodRole::Baseline,
            note: "the backbone as it comes".into(),
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

    fn retrieval(&self) -> Result<RetrievalGrid, TrainError> {
        let rankings = self.compared_rankings()?;
        let mut pictures = Pictures { test: self.test, made: BTreeMap::new() };
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let rows: Vec<usize> = (0..self.zero_shot.indices.len()).collect();
        let mut chosen: Vec<usize> = rows.sample(&mut rng, QUERIES).copied().collect();
        chosen.sort_unstable();
        let rows = chosen
            .into_iter()
            .map(|query| RetrievalRow {
                query: pictures.get(self.zero_shot.indices[query]),
                rankings: rankings
                    .iter()
                    .map(|(name, measured, neighbours)| Ranking {
                        method: name.to_string(),
                        hits: neighbours
                            .row(query)
                            .iter()
                            .map(|hit| Hit {
                                picture: pictures.get(measured.indices[hit.index() as usize]),
                                similarity: f64::from(hit.score()),
                                correct: measured.labels[hit.index() as usize] == measured.labels[query],
                            })
                            .collect(),
                    })
                    .collect(),
            })
            .collect();
        Ok(RetrievalGrid {
            note: format!(
                "Queries drawn at random (seed {}) from the test classes, each searched among all other {} test images.",
                self.config.seed,
                self.zero_shot.labels.len().saturating_sub(1)
            ),
            rows,
        })
    }

    /// Zero-shot and the featured run with their nearest neighbours.
    fn compared_rankings(&self) -> Result<Vec<(&str, &Measured, Neighbours)>, TrainError> {
        let featured = self.runs.last().map(|run| (run.name, run.measured));
        std::iter::once((ZERO_SHOT, self.zero_shot))
            .chain(featured)
            .map(|(name, measured)| {
                let config = KnnConfig { k: HITS, ..KnnConfig::default() };
                Ok((name, measured, search_self(&measured.embeddings, &config)?))
            })
            .collect()
    }

    fn classes(&self) -> Result<Option<ClassScores>, TrainError> {
        let Some(run) = self.runs.last() else { return Ok(None) };
        let neighbours = search_self(&run.measured.embeddings, &KnnConfig { k: 1, ..KnnConfig::default() })?;
        let before: BTreeMap<i64, f64> =
            self.zero_shot.evaluation.classes.iter().map(|class| (class.label, class.recall_at_1)).collect();
        let mut pictures = Pictures { test: self.test, made: BTreeMap::new() };
        let mut score = |class: &kinsight_retrieval::ClassScores| {
            let labels = &run.measured.labels;
            let mut taken_for: BTreeMap<i64, usize> = BTreeMap::new();
            for (row, _) in labels.iter().enumerate().filter(|(_, label)| **label == class.label) {
                let found = labels[neighbours.row(row)[0].index() as usize];
                if found != class.label {
                    *taken_for.entry(found).or_default() += 1;
                }
            }
            let most = taken_for.into_iter().max_by_key(|(label, count)| (*count, -label));
            let example = labels.iter().position(|label| *label == class.label);
            ClassScore {
                name: self.class_name(class.label),
                images: class.queries,
                value: class.recall_at_1,
                before: before.get(&class.label).copied(),
                confused_with: most.map(|(label, _)| self.class_name(label)),
                example: example.map(|row| pictures.get(run.measured.indices[row])),
            }
        };
        let evaluation = &run.measured.evaluation;
        Ok(Some(ClassScores {
            metric: "Recall@1".into(),
            method: run.name.into(),
            worst: evaluation.worst_classes(5).into_iter().map(&mut score).collect(),
            best: evaluation.best_classes(5).into_iter().map(&mut score).collect(),
        }))
    }

    /// What the figures are of, and which of them may be quoted.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec!["No class is in both parts: the figures are for classes that training never saw.".into()];
        let selection = self.runs.last().and_then(|run| {
            let text = std::fs::read_to_string(run.folder.selection()).ok()?;
            serde_json::from_str::<SelectionState>(&text).ok()
        });
        notes.extend(selection.iter().flat_map(SelectionState::sentences));
        notes
    }

    fn class_name(&self, label: i64) -> String {
        self.test.class_names.get(label as usize).cloned().unwrap_or_default()
    }

    fn data(&self) -> Option<DataFacts> {
        let facts = self.runs.last()?.facts;
        let part = |name: &str, (images, classes)| DataPart { name: name.into(), classes, images };
        Some(DataFacts {
            source: self.config.data.path.display().to_string(),
            parts: vec![part("train", facts.train), part("test", facts.test)],
            notes: self.notes(),
        })
    }
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

/// Thumbnails of test images, each made once.
struct Pictures<'a> {
    test: &'a Dataset,
    made: BTreeMap<usize, Picture>,
}

impl Pictures<'_> {
    fn get(&mut self, index: usize) -> Picture {
        self.made.entry(index).or_insert_with(|| picture(self.test, index)).clone()
    }
}

fn picture(test: &Dataset, index: usize) -> Picture {
    let (label, path): (String, &Path) = match test.items.get(index) {
        Some(item) => (test.class_names.get(item.label as usize).cloned().unwrap_or_default(), item.path.as_path()),
        None => (String::new(), Path::new("")),
    };
    let bytes: Arc<[u8]> = thumbnail_of_file(path, THUMBNAIL_PX).unwrap_or_default().into();
    let caption = path.file_name().map(|name| name.to_string_lossy().to_string()).unwrap_or_default();
    Picture { label, caption, format: PictureFormat::Jpeg, bytes }
}
