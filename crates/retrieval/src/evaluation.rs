//! One entry point that judges embeddings: what to measure, how, and what came out.
//!
//! Protocols: every item queries the rest ([`evaluate_self`]: CUB, Cars, SOP, iNaturalist), or queries search a separate
//! gallery ([`evaluate_query_gallery`]: In-Shop). A query is left out of its own answers by identity, never by distance.
//! Distractors are gallery items with a label that no query has.
//!
//! Means are taken over the queries that have a relevant item; a query without one (its class has a single item, or none
//! in the gallery) cannot be answered, and is counted in [`Evaluation::queries_without_reference`]. Recall@K is given both
//! ways, because both are in use.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::UnitEmbeddings;
use crate::classes::Relevance;
use crate::error::{Result, RetrievalError};
use crate::metrics::{self, Ranking};
use crate::per_class::{ClassScores, per_class};
use crate::rank_block::{Depth, RankTask};
use crate::rankings::map_rankings;

/// What to measure, and within which memory.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalConfig {
    /// The K of Recall@K, Precision@K and nDCG@K. Default 1, 2, 4, 8, as for CUB and Cars.
    pub ks: Vec<usize>,
    /// Also MAP and MRR, which look at whole rankings. Takes up to twice the time. Default false.
    pub full_ranking: bool,
    /// Also the variants of other programs: `map@r/counting_query`, `map/max_r` and `mrr/max_r`. Default false.
    pub variants: bool,
    /// Bound on what the evaluation allocates beside its input and one number per query and metric. Default 512 MiB.
    pub max_memory_bytes: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { ks: vec![1, 2, 4, 8], full_ranking: false, variants: false, max_memory_bytes: 512 << 20 }
    }
}

/// What came out.
///
/// | metric | mean over | definition |
/// |---|---|---|
/// | `recall@K` | all queries | [`recall_at_k`](metrics::recall_at_k) |
/// | `recall@K/with_reference_only` | queries with a relevant item, as all that follow | the same |
/// | `precision@K` | | [`precision_at_k`](metrics::precision_at_k) |
/// | `ndcg@K` | | [`ndcg_at_k`](metrics::ndcg_at_k) |
/// | `map@r` | | [`map_at_r`](metrics::map_at_r) |
/// | `r_precision` | | [`r_precision`](metrics::r_precision) |
/// | `map`, `mrr` | with `full_ranking` | [`average_precision`](metrics::average_precision), [`reciprocal_rank`](metrics::reciprocal_rank) |
/// | `map@r/counting_query` | with `variants` | [`map_at_r_counting_query`](metrics::map_at_r_counting_query) |
/// | `map/max_r`, `mrr/max_r` | with `variants` | [`average_precision_at_k`](metrics::average_precision_at_k), [`reciprocal_rank_at_k`](metrics::reciprocal_rank_at_k) for k the largest R of any query |
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Number of queries.
    pub queries: usize,
    /// Number of gallery items; in a self-evaluation the queries themselves.
    pub gallery: usize,
    /// Queries without a relevant item in the gallery.
    pub queries_without_reference: usize,
    /// Value of each metric, in [0, 1], by name.
    pub metrics: BTreeMap<String, f64>,
    /// Each class of the queries, in order of label.
    pub classes: Vec<ClassScores>,
}

impl Evaluation {
    /// A metric by its name, as `recall@1` or `map@r`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }

    /// Recall@K over all queries, if K was asked for.
    pub fn recall_at(&self, k: usize) -> Option<f64> {
        self.get(&format!("recall@{k}"))
    }

    /// MAP@R.
    pub fn map_at_r(&self) -> f64 {
        self.get("map@r").unwrap_or_default()
    }

    /// The `count` classes of lowest MAP@R, lowest first; those without any relevant item are left out.
    pub fn worst_classes(&self, count: usize) -> Vec<&ClassScores> {
        let mut classes = self.judged_classes();
        classes.sort_by(|a, b| a.map_at_r.total_cmp(&b.map_at_r));
        classes.truncate(count);
        classes
    }

    /// The `count` classes of highest MAP@R, highest first; those without any relevant item are left out.
    pub fn best_classes(&self, count: usize) -> Vec<&ClassScores> {
        let mut classes = self.judged_classes();
        classes.sort_by(|a, b| b.map_at_r.total_cmp(&a.map_at_r));
        classes.truncate(count);
        classes
    }

    fn judged_classes(&self) -> Vec<&ClassScores> {
        self.classes.iter().filter(|class| class.queries > class.queries_without_reference).collect()
    }
}

/// Judges embeddings with every item querying all others.
///
/// # Errors
/// A number of labels other than that of rows, no K or a K of zero, no item with another of its class, or a memory setting
/// that is too small.
///
/// # Example
/// ```
/// use kinsight_retrieval::{EvalConfig, UnitEmbeddings, evaluate_self};
///
/// let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.2, 0.8], 2)?;
/// let evaluation = evaluate_self(&embeddings, &[7, 7, 3, 3], &EvalConfig::default())?;
/// assert_eq!(evaluation.recall_at(1), Some(1.0));
/// assert_eq!(evaluation.map_at_r(), 1.0);
/// # Ok::<(), kinsight_retrieval::RetrievalError>(())
/// ```
pub fn evaluate_self(embeddings: &UnitEmbeddings, labels: &[i64], config: &EvalConfig) -> Result<Evaluation> {
    check_labels("embeddings", embeddings, labels)?;
    evaluate(embeddings, embeddings, labels, &Relevance::of_itself(labels), config)
}

/// Judges queries against a separate gallery.
///
/// # Errors
/// As [`evaluate_self`], and widths that differ or an empty gallery.
pub fn evaluate_query_gallery(
    queries: &UnitEmbeddings,
    query_labels: &[i64],
    gallery: &UnitEmbeddings,
    gallery_labels: &[i64],
    config: &EvalConfig,
) -> Result<Evaluation> {
    check_labels("queries", queries, query_labels)?;
    check_labels("gallery", gallery, gallery_labels)?;
    if queries.dim() != gallery.dim() {
        return Err(RetrievalError::WidthMismatch { queries: queries.dim(), gallery: gallery.dim() });
    }
    evaluate(queries, gallery, query_labels, &Relevance::new(query_labels, gallery_labels), config)
}

fn check_labels(what: &'static str, embeddings: &UnitEmbeddings, labels: &[i64]) -> Result<()> {
    if embeddings.is_empty() {
        return Err(RetrievalError::Empty { what });
    }
    if embeddings.len() != labels.len() {
        return Err(RetrievalError::LabelCount { what, rows: embeddings.len(), labels: labels.len() });
    }
    Ok(())
}

fn evaluate(
    queries: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    query_labels: &[i64],
    relevance: &Relevance,
    config: &EvalConfig,
) -> Result<Evaluation> {
    if config.ks.is_empty() || config.ks.contains(&0) {
        let found = format!("{:?}", config.ks);
        return Err(RetrievalError::Setting { name: "ks", found, expected: "a list of numbers from 1 up" });
    }
    let most_relevant = (0..queries.len()).map(|query| relevance.relevant_count(query)).max().unwrap_or(0);
    if most_relevant == 0 {
        return Err(RetrievalError::Empty { what: "the set of queries with a relevant item in the gallery" });
    }
    let columns = columns(config, most_relevant);
    let deepest = columns.iter().map(|column| column.depth).max().unwrap_or(0);
    let depth = if deepest == usize::MAX { Depth::Full } else { Depth::AtLeast(deepest) };
    let task = RankTask { queries, gallery, relevance, depth };
    let scores = map_rankings(&task, config.max_memory_bytes, |_, ranking| {
        columns.iter().map(|column| (column.score)(&ranking)).collect::<Box<[f64]>>()
    })?;

    let with_reference: Vec<bool> = (0..queries.len()).map(|query| relevance.relevant_count(query) > 0).collect();
    let mean = |place: usize, over_all: bool| {
        let (mut sum, mut count) = (0.0, 0_usize);
        for (scores, &has_reference) in scores.iter().zip(&with_reference) {
            if over_all || has_reference {
                sum += scores[place];
                count += 1;
            }
        }
        sum / count as f64
    };
    let mut metrics = BTreeMap::new();
    for (place, column) in columns.iter().enumerate() {
        if column.also_over_all {
            metrics.insert(column.name.clone(), mean(place, true));
            metrics.insert(format!("{}/with_reference_only", column.name), mean(place, false));
        } else {
            metrics.insert(column.name.clone(), mean(place, false));
        }
    }
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    Ok(Evaluation {
        queries: queries.len(),
        gallery: gallery.len(),
        queries_without_reference: with_reference.iter().filter(|&&has| !has).count(),
        metrics,
        classes: per_class(query_labels, &with_reference, &scores, place(RECALL_AT_1), place(MAP_AT_R)),
    })
}

const RECALL_AT_1: &str = "recall@1";
const MAP_AT_R: &str = "map@r";

/// One number per query.
struct Column {
    name: String,
    /// Whether its mean over all queries is reported too.
    also_over_all: bool,
    /// The deepest rank it looks at, beyond R + 1 of the query.
    depth: usize,
    score: Box<dyn Fn(&Ranking<'_>) -> f64 + Sync>,
}

impl Column {
    fn new(name: impl Into<String>, depth: usize, score: impl Fn(&Ranking<'_>) -> f64 + Sync + 'static) -> Self {
        Self { name: name.into(), also_over_all: false, depth, score: Box::new(score) }
    }
}

fn columns(config: &EvalConfig, most_relevant: usize) -> Vec<Column> {
    let mut ks = config.ks.clone();
    ks.push(1);
    ks.sort_unstable();
    ks.dedup();
    let mut columns = Vec::new();
    for k in ks {
        let recall = Column::new(format!("recall@{k}"), k, move |ranking| metrics::recall_at_k(ranking, k));
        columns.push(Column { also_over_all: true, ..recall });
        columns.push(Column::new(format!("precision@{k}"), k, move |ranking| metrics::precision_at_k(ranking, k)));
        columns.push(Column::new(format!("ndcg@{k}"), k, move |ranking| metrics::ndcg_at_k(ranking, k)));
    }
    columns.push(Column::new(MAP_AT_R, 0, metrics::map_at_r));
    columns.push(Column::new("r_precision", 0, metrics::r_precision));
    if config.full_ranking {
        columns.push(Column::new("map", usize::MAX, metrics::average_precision));
        columns.push(Column::new("mrr", usize::MAX, metrics::reciprocal_rank));
    }
    if config.variants {
        let k = most_relevant;
        columns.push(Column::new("map@r/counting_query", 0, metrics::map_at_r_counting_query));
        columns.push(Column::new("map/max_r", k, move |ranking| metrics::average_precision_at_k(ranking, k)));
        columns.push(Column::new("mrr/max_r", k, move |ranking| metrics::reciprocal_rank_at_k(ranking, k)));
    }
    columns
}
