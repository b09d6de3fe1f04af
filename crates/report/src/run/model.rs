//! What a report shows, as plain data.
//!
//! Scores are fractions in `[0, 1]`; the page turns them into percentages. A score that could not be measured is NaN
//! and shown as a dash. Empty lists and `None` leave their section out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pictures::Picture;

/// Everything one `report.html` shows.
///
/// # Example
/// ```
/// use kinsight_report::run::{MethodRole, MethodRow, Report};
///
/// let report = Report {
///     title: "Butterflies".into(),
///     subtitle: "kinsight_nano on 40 drawn classes, measured on 40 others".into(),
///     methods: vec![MethodRow {
///         method: "zero-shot".into(),
///         role: MethodRole::Baseline,
///         recall_at_1: 0.61,
///         map_at_r: 0.35,
///         ..MethodRow::default()
///     }],
///     ..Report::default()
/// };
/// let html = report.to_html();
/// assert!(html.starts_with("<!doctype html>"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the run, as the reader knows it.
    pub title: String,
    /// What was trained on what, in a sentence.
    pub subtitle: String,
    /// When and with what the report was made, in the caller's words; the report never asks the clock.
    pub created: String,
    /// What the reader must know before trusting the numbers; shown first.
    pub warnings: Vec<Warning>,
    /// The results, one row a method, the zero-shot row first.
    pub methods: Vec<MethodRow>,
    /// Learning curves: the loss, Recall@1, MAP@R, in this order of appearance.
    pub charts: Vec<Chart>,
    /// Queries with what each method found for them.
    pub retrieval: Option<RetrievalGrid>,
    /// Why some of the answers were found: attention and patch-to-patch evidence.
    pub explanations: Vec<ExplainedPair>,
    /// The classes that are hardest and easiest to find.
    pub classes: Option<ClassScores>,
    /// Which classes are found in place of which.
    pub confusion: Option<Confusion>,
    /// How similar images of one class are, and of two.
    pub similarities: Vec<SimilarityDistribution>,
    /// The embeddings as a map.
    pub map: Option<EmbeddingMap>,
    /// What the model was trained and measured on.
    pub data: Option<DataFacts>,
    /// The resolved settings of the run.
    pub settings: Vec<Setting>,
    /// What to do next, with commands to copy.
    pub next_steps: Vec<NextStep>,
}

/// Something that makes the numbers weaker than they look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What happened.
    pub message: String,
    /// What the reader can do about it.
    pub hint: Option<String>,
}

/// One row of the table of results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodRow {
    /// The method's name; curves and rankings of the same method carry the same name.
    pub method: String,
    /// What the row is to the others.
    pub role: MethodRole,
    /// The number of trained scalars, 0 for zero-shot.
    pub trainable_parameters: u64,
    /// Trained scalars over all scalars, in `[0, 1]`.
    pub trainable_share: f64,
    /// Recall@1 in `[0, 1]`.
    pub recall_at_1: f64,
    /// 95 % interval of Recall@1, low and high.
    pub recall_at_1_interval: Option<(f64, f64)>,
    /// Recall@k for further k; an entry for k = 1 is ignored in favor of `recall_at_1`.
    pub recall_at: BTreeMap<usize, f64>,
    /// MAP@R in `[0, 1]`.
    pub map_at_r: f64,
    /// 95 % interval of MAP@R, low and high.
    pub map_at_r_interval: Option<(f64, f64)>,
    /// Wall-clock seconds of the training, if it was timed.
    pub seconds: Option<f64>,
    /// A remark shown under the name; may be empty.
    pub note: String,
}

/// What a row of the table is to the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MethodRole {
    /// What the others are measured against: the bare backbone. The first such row counts.
    Baseline,
    /// One method among others.
    #[default]
    Compared,
    /// The method the report is about: its figures head the page. The first such row counts.
    Featured,
}

/// One line chart with any number of curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What the values are: `Training loss`, `Recall@1`.
    pub title: String,
    /// What the curves run over, in the singular: `epoch`, `step`.
    pub x_label: String,
    /// How the values read.
    pub quantity: Quantity,
    /// The curves; one name has one color throughout the report.
    pub curves: Vec<Curve>,
    /// Levels to compare the curves with, such as the zero-shot figure.
    pub references: Vec<ReferenceLine>,
}

/// How a chart's values read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// A plain number, such as a loss.
    #[default]
    Number,
    /// A fraction in `[0, 1]`, shown in percent.
    Share,
}

/// One run's values over epochs or steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The run's name, normally its method.
    pub name: String,
    /// `(epoch or step, value)`, in any order. A value that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
}

/// A level drawn across a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceLine {
    /// What the level is.
    pub name: String,
    /// Its value, in the unit of the chart.
    pub value: f64,
}

/// Queries with what each method found for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RetrievalGrid {
    /// How the queries were chosen, so that the best are not taken for the usual; may be empty.
    pub note: String,
    /// One row a query; rows of one kind stand together.
    pub rows: Vec<RetrievalRow>,
}

/// Why a query is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QueryKind {
    /// Drawn at random: what is usual.
    #[default]
    Random,
    /// Among those answered worst.
    Worst,
    /// Among those answered best.
    Best,
}

/// One query and its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievalRow {
    /// Why it is shown.
    pub kind: QueryKind,
    /// The query picture.
    pub query: Picture,
    /// What each method found: one entry, or a before and an after.
    pub rankings: Vec<Ranking>,
}

/// What one method found for a query, best first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The method's name.
    pub method: String,
    /// The nearest pictures, nearest first.
    pub hits: Vec<Hit>,
}

/// One picture that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The picture.
    pub picture: Picture,
    /// Cosine similarity to the query.
    pub similarity: f64,
    /// Whether it is of the query's class.
    pub correct: bool,
}

/// Why two images are similar to the model.
///
/// All maps are over a grid of square patches, row-major from the top left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedPair {
    /// The query as the model saw it: resized and cropped to a square.
    pub query: Picture,
    /// The answer as the model saw it.
    pub answer: Picture,
    /// Whether the answer is of the query's class.
    pub correct: bool,
    /// Cosine similarity.
    pub similarity: f64,
    /// The part of the similarity that no pair of patches explains.
    pub rest: f64,
    /// Patches along one side.
    pub grid: usize,
    /// Part of the similarity of patch i of the query and patch j of the answer, `[n, n]` with `n = grid * grid`.
    pub evidence: Vec<f32>,
    /// Part of the similarity of each patch of the query with all of the answer, `[n]`.
    pub from_query: Vec<f32>,
    /// Part of the similarity of each patch of the answer with all of the query, `[n]`.
    pub from_answer: Vec<f32>,
    /// Attention of the query's class token in the last block, `[n]`.
    pub attention_query: Vec<f32>,
    /// Attention of the answer's class token in the last block, `[n]`.
    pub attention_answer: Vec<f32>,
    /// Share of the query's attention that goes to prompts instead of the image.
    pub prompt_share: f64,
}

/// Which classes are found in place of which.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// What the shares are of: `the 10 nearest images`.
    pub among: String,
    /// The method that was measured.
    pub method: String,
    /// The classes most confused, those found for each other next to each other.
    pub classes: Vec<String>,
    /// Share of class `column` among the answers to queries of class `row`, in `[0, 1]`.
    pub shares: Vec<Vec<f64>>,
    /// The pairs of classes most confused, worst first.
    pub pairs: Vec<ConfusedPair>,
}

/// Two classes that are found for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// The class of the queries.
    pub class: String,
    /// The class of the answers.
    pub taken_for: String,
    /// Share of the answers, in `[0, 1]`.
    pub share: f64,
    /// A query and an answer that was found for it.
    pub example: Option<(Picture, Picture)>,
}

/// How similar images of one class are, and of two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimilarityDistribution {
    /// The method's name.
    pub method: String,
    /// Number of pairs of one class and of two.
    pub pairs: (u64, u64),
    /// `(pairs of one class, pairs of two)` in equal steps of cosine similarity over [-1, 1].
    pub histogram: Vec<(u64, u64)>,
    /// Thresholds by false match rate, strictest first.
    pub thresholds: Vec<Threshold>,
    /// The rate where false matches and false non-matches are equally frequent.
    pub equal_error_rate: Option<f64>,
    /// The chance that a pair of one class is more similar than a pair of two.
    pub area_under_roc: Option<f64>,
}

/// What happens if pairs above a similarity are taken for one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Cosine similarity.
    pub similarity: f64,
    /// Share of pairs of two classes that are accepted.
    pub false_match_rate: f64,
    /// Share of pairs of one class that are missed.
    pub false_non_match_rate: f64,
}

/// The embeddings as a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingMap {
    /// How it was made and of how many images.
    pub note: String,
    /// The images.
    pub points: Vec<MapPoint>,
    /// Class names, which points refer to.
    pub classes: Vec<String>,
    /// One picture with a square tile for each point, row by row.
    pub tiles: Picture,
    /// Side of a tile in pixels.
    pub tile_px: usize,
    /// Tiles in a row.
    pub columns: usize,
}

/// One image of a map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MapPoint {
    /// Across, in any unit.
    pub x: f64,
    /// Down, in the same unit.
    pub y: f64,
    /// Index of its class in [`EmbeddingMap::classes`].
    pub class: usize,
    /// Its file name.
    pub caption: String,
    /// Whether its nearest neighbor is of another class.
    pub astray: bool,
}

/// The two ends of the list of classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// What the values measure: `Recall@1`.
    pub metric: String,
    /// The method that was measured.
    pub method: String,
    /// The hardest classes, worst first.
    pub worst: Vec<ClassScore>,
    /// The easiest classes, best first.
    pub best: Vec<ClassScore>,
}

/// How well one class is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class name.
    pub name: String,
    /// The number of measured images.
    pub images: usize,
    /// The score in `[0, 1]`.
    pub value: f64,
    /// The score before training, in `[0, 1]`.
    pub before: Option<f64>,
    /// The class most often found in its place.
    pub confused_with: Option<String>,
    /// A picture of the class.
    pub example: Option<Picture>,
}

/// What the model was trained and measured on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Where the images are, or how they were made.
    pub source: String,
    /// The parts of the split.
    pub parts: Vec<DataPart>,
    /// How it was split, what was skipped; one sentence each.
    pub notes: Vec<String>,
}

/// One part of a split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPart {
    /// `train`, `test`, `query`, `gallery`.
    pub name: String,
    /// The number of classes.
    pub classes: usize,
    /// The number of images.
    pub images: usize,
}

/// One setting. Keys with a dot are grouped by what stands before the first one, as the tables of a TOML file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// `optimizer.lr`.
    pub key: String,
    /// `0.0005`.
    pub value: String,
}

/// One thing to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// What it does.
    pub what: String,
    /// The command line; may be empty.
    pub command: String,
}
