//! Evaluation of embeddings: what to measure, how, and the results.
//!
//! Protocols: every item queries the rest ([`evaluate_self`]: CUB, Cars, SOP, iNaturalist), or queries search a separate
//! gallery ([`evaluate_query_gallery`]: In-Shop). A query is left out of its own results by identity, never by distance.
//! Distractors are gallery items with a label that no query has.
//!
//! Means are taken over the queries that have a relevant item; a query without one (its class has a single item, or none
//! in the gallery) cannot be answered, and is counted in [`Evaluation::queries_without_reference`]. Recall@K is given both
//! ways, because both are in use.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::UnitEmbeddings;
use crate::bootstrap::{BootstrapConfig, BootstrapUnit, Interval, UnitSums, intervals};
use crate::classes::Relevance;
use crate::columns::{Column, MAP_AT_R, RECALL_AT_1, columns};
use crate::contingency::Contingency;
use crate::error::{Result, RetrievalError};
use crate::kmeans::{KMeansConfig, kmeans};
use crate::metrics::{self, OperatingPoint};
use crate::pair_histogram::pair_histogram;
use crate::paired::QueryScore;
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
    /// Also the CMC curve to this rank. Default 0: none.
    pub cmc_depth: usize,
    /// Also intervals of all means over queries. Default none.
    pub bootstrap: Option<BootstrapConfig>,
    /// Also cluster the queries by k-means and compare with their labels. Default none.
    pub clustering: Option<KMeansConfig>,
    /// Also what all pairs say: verification at these false match rates, and the geometry of the embedding. Takes the
    /// products once more. Default none.
    pub false_match_rates: Option<Vec<f64>>,
    /// Bound on what the evaluation allocates besides its input and one number per query and metric. Default 512 MiB.
    pub max_memory_bytes: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            ks: vec![1, 2, 4, 8],
            full_ranking: false,
            variants: false,
            cmc_depth: 0,
            bootstrap: None,
            clustering: None,
            false_match_rates: None,
            max_memory_bytes: 512 << 20,
        }
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
    /// Interval of each metric, if asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// Recall@K for K from 1 to `cmc_depth`, over the queries with a relevant item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmc: Vec<f64>,
    /// Comparison of a clustering with the labels, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clustering: Option<ClusteringScores>,
    /// What all pairs say, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairScores>,
    /// Each class of the queries, in order of label.
    pub classes: Vec<ClassScores>,
    /// Each query, in order: what the means above are means of.
    #[serde(skip)]
    pub query_scores: Vec<QueryScore>,
}

/// How well a clustering matches the labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClusteringScores {
    /// Number of clusters.
    pub clusters: usize,
    /// [`nmi`](metrics::nmi).
    pub nmi: f64,
    /// [`ami`](metrics::ami).
    pub ami: f64,
    /// [`ari`](metrics::ari).
    pub ari: f64,
    /// [`pairwise_f1`](metrics::pairwise_f1).
    pub pairwise_f1: f64,
}

impl ClusteringScores {
    /// Compares clusters, one for each item, with the items' labels.
    ///
    /// # Errors
    /// If the lengths differ or are zero.
    pub fn new(labels: &[i64], clusters: &[i64]) -> Result<Self> {
        let contingency = Contingency::new(labels, clusters)?;
        Ok(Self {
            clusters: contingency.cluster_sizes().len(),
            nmi: metrics::nmi(&contingency),
            ami: metrics::ami(&contingency),
            ari: metrics::ari(&contingency),
            pairwise_f1: metrics::pairwise_f1(&contingency),
        })
    }
}

/// What the similarities of all pairs say; a figure is missing where there are no pairs of the kind it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PairScores {
    /// Pairs of the same class.
    pub genuine: u64,
    /// Pairs of different classes.
    pub impostor: u64,
    /// [`equal_error_rate`](metrics::equal_error_rate).
    pub equal_error_rate: Option<f64>,
    /// [`area_under_roc`](metrics::area_under_roc).
    pub area_under_roc: Option<f64>,
    /// [`fnmr_at_fmr`](metrics::fnmr_at_fmr) for each of the rates asked for.
    pub operating_points: Vec<OperatingPoint>,
    /// [`roc`](metrics::roc), thinned to what a drawing shows.
    pub roc: Vec<OperatingPoint>,
    /// (genuine, impostor) pairs in 200 equal steps of similarity over [-1, 1].
    pub histogram: Vec<(u64, u64)>,
    /// [`alignment`](metrics::alignment).
    pub alignment: Option<f64>,
    /// [`uniformity`](metrics::uniformity).
    pub uniformity: Option<f64>,
    /// [`density`](metrics::density).
    pub density: Option<f64>,
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
    let own_items = vec![None; queries.len()];
    evaluate_with_identity(queries, query_labels, gallery, gallery_labels, &own_items, config)
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

/// Judges queries against a gallery in which some of them are themselves: query i is gallery item `own_items[i]`, which is
/// left out of its results.
///
/// # Errors
/// As [`evaluate_query_gallery`], and a number of own items other than that of queries.
pub fn evaluate_with_identity(
    queries: &UnitEmbeddings,
    query_labels: &[i64],
    gallery: &UnitEmbeddings,
    gallery_labels: &[i64],
    own_items: &[Option<u32>],
    config: &EvalConfig,
) -> Result<Evaluation> {
    check_labels("queries", queries, query_labels)?;
    check_labels("gallery", gallery, gallery_labels)?;
    if queries.dim() != gallery.dim() {
        return Err(RetrievalError::WidthMismatch { queries: queries.dim(), gallery: gallery.dim() });
    }
    if own_items.len() != queries.len() {
        let (rows, labels) = (queries.len(), own_items.len());
        return Err(RetrievalError::LabelCount { what: "own items", rows, labels });
    }
    let relevance = Relevance::with_identity(query_labels, gallery_labels, own_items);
    evaluate(queries, gallery, query_labels, &relevance, config)
}

/// Judges some rows as queries against some rows as the gallery; a row that is both is left out of its own results.
///
/// Rows that are in neither list take no part. Where both lists hold every row, this is [`evaluate_self`].
///
/// # Errors
/// As [`evaluate_query_gallery`], and an index out of range.
pub fn evaluate_roles(
    embeddings: &UnitEmbeddings,
    labels: &[i64],
    queries: &[usize],
    gallery: &[usize],
    config: &EvalConfig,
) -> Result<Evaluation> {
    check_labels("embeddings", embeddings, labels)?;
    let is_everything =
        |rows: &[usize]| rows.len() == labels.len() && rows.iter().enumerate().all(|(i, &row)| i == row);
    if is_everything(queries) && is_everything(gallery) {
        return evaluate_self(embeddings, labels, config);
    }
    let (asking, answering) = (embeddings.select(queries)?, embeddings.select(gallery)?);
    let (query_labels, relevance) = Relevance::of_roles(labels, queries, gallery);
    evaluate(&asking, &answering, &query_labels, &relevance, config)
}

fn evaluate(
    queries: &UnitEmbeddings,
    gallery: &UnitEmbeddings,
    query_labels: &[i64],
    relevance: &Relevance,
    config: &EvalConfig,
) -> Result<Evaluation> {
    let judge = Judge::new(relevance, config)?;
    let task = RankTask { queries, gallery, relevance, depth: judge.depth };
    let scored = map_rankings(&task, config.max_memory_bytes, |_, ranking| judge.score(&ranking))?;
    let mut evaluation = judge.summarize(scored, gallery.len(), query_labels)?;
    if let Some(clustering) = &config.clustering {
        evaluation.clustering = Some(cluster(queries, query_labels, clustering)?);
    }
    if let Some(rates) = &config.false_match_rates {
        evaluation.pairs = Some(judge_pairs(&task, rates, config.max_memory_bytes)?);
    }
    Ok(evaluation)
}

/// What is taken of one query's ranking: a number for each column, and the rank of the first relevant item.
pub(crate) type Scored = (Box<[f64]>, Option<u32>);

/// Turns rankings into an evaluation, wherever the rankings come from.
pub(crate) struct Judge<'a> {
    relevance: &'a Relevance,
    config: &'a EvalConfig,
    columns: Vec<Column>,
    /// How deep rankings must be known.
    pub depth: Depth,
}

impl<'a> Judge<'a> {
    /// Sets up what the configuration asks for.
    ///
    /// # Errors
    /// No K or a K of zero; no query with a relevant item.
    pub fn new(relevance: &'a Relevance, config: &'a EvalConfig) -> Result<Self> {
        if config.ks.is_empty() || config.ks.contains(&0) {
            let found = format!("{:?}", config.ks);
            return Err(RetrievalError::Setting { name: "ks", found, expected: "a list of numbers from 1 up" });
        }
        let queries = 0..relevance.queries();
        let most_relevant = queries.map(|query| relevance.relevant_count(query)).max().unwrap_or(0);
        if most_relevant == 0 {
            return Err(RetrievalError::Empty { what: "the set of queries with a relevant item in the gallery" });
        }
        let columns = columns(config, most_relevant);
        let deepest = columns.iter().map(|column| column.depth).max().unwrap_or(0).max(config.cmc_depth);
        let depth = if deepest == usize::MAX { Depth::Full } else { Depth::AtLeast(deepest) };
        Ok(Self { relevance, config, columns, depth })
    }

    /// Scores one ranking.
    pub fn score(&self, ranking: &metrics::Ranking<'_>) -> Scored {
        let scores = self.columns.iter().map(|column| (column.score)(ranking)).collect();
        (scores, ranking.ranks.first().copied())
    }

    /// Means, intervals and classes of all scored rankings, in the order of the queries.
    ///
    /// # Errors
    /// Settings of the bootstrap out of range.
    pub fn summarize(&self, scored: Vec<Scored>, gallery: usize, query_labels: &[i64]) -> Result<Evaluation> {
        let queries = self.relevance.queries();
        let (scores, first_ranks): (Vec<Box<[f64]>>, Vec<Option<u32>>) = scored.into_iter().unzip();
        let judged: Vec<bool> = (0..queries).map(|query| self.relevance.relevant_count(query) > 0).collect();
        let means = means(&self.columns);
        let totals = sums(&means, &scores, &judged, 0..queries);
        let values = means.iter().zip(&totals).map(|(mean, &(sum, count))| (mean.name.clone(), sum / count));
        let first_ranks: Vec<Option<u32>> =
            first_ranks.into_iter().zip(&judged).filter(|&(_, &judged)| judged).map(|(rank, _)| rank).collect();
        let place = |name: &str| self.columns.iter().position(|column| column.name == name);
        let (recall_at_1, map_at_r) = (place(RECALL_AT_1), place(MAP_AT_R));
        let score = |scores: &[f64], place: Option<usize>| place.map_or(0.0, |place| scores[place]);
        let query_scores: Vec<QueryScore> = (scores.iter().zip(&judged))
            .map(|(scores, judged)| QueryScore {
                recall_at_1: score(scores, recall_at_1),
                map_at_r: judged.then(|| score(scores, map_at_r)),
            })
            .collect();
        Ok(Evaluation {
            queries,
            gallery,
            queries_without_reference: judged.iter().filter(|&&judged| !judged).count(),
            metrics: values.collect(),
            intervals: match &self.config.bootstrap {
                Some(bootstrap) => bootstrap_intervals(&means, &scores, &judged, query_labels, bootstrap)?,
                None => BTreeMap::new(),
            },
            cmc: metrics::cmc(&first_ranks, self.config.cmc_depth),
            clustering: None,
            pairs: None,
            classes: per_class(query_labels, &query_scores),
            query_scores,
        })
    }
}

/// A mean that is reported: which column, and over which queries.
struct Mean {
    name: String,
    column: usize,
    over_all: bool,
}

fn means(columns: &[Column]) -> Vec<Mean> {
    let mut means = Vec::new();
    for (column, Column { name, also_over_all, .. }) in columns.iter().enumerate() {
        if *also_over_all {
            means.push(Mean { name: name.clone(), column, over_all: true });
            means.push(Mean { name: format!("{name}/with_reference_only"), column, over_all: false });
        } else {
            means.push(Mean { name: name.clone(), column, over_all: false });
        }
    }
    means
}

/// Sums of all means over some queries.
fn sums(
    means: &[Mean],
    scores: &[Box<[f64]>],
    judged: &[bool],
    queries: impl Iterator<Item = usize> + Clone,
) -> UnitSums {
    let sum = |mean: &Mean| {
        let queries = queries.clone().filter(|&query| mean.over_all || judged[query]);
        queries.fold((0.0, 0.0), |(sum, count), query| (sum + scores[query][mean.column], count + 1.0))
    };
    means.iter().map(sum).collect()
}

fn bootstrap_intervals(
    means: &[Mean],
    scores: &[Box<[f64]>],
    judged: &[bool],
    labels: &[i64],
    config: &BootstrapConfig,
) -> Result<BTreeMap<String, Interval>> {
    if config.resamples == 0 {
        return Err(RetrievalError::Setting { name: "resamples", found: "0".to_owned(), expected: "at least 1" });
    }
    if !(config.confidence > 0.0 && config.confidence < 1.0) {
        let found = config.confidence.to_string();
        return Err(RetrievalError::Setting { name: "confidence", found, expected: "between 0 and 1" });
    }
    let units: Vec<UnitSums> = match config.unit {
        BootstrapUnit::Query => {
            (0..scores.len()).map(|query| sums(means, scores, judged, std::iter::once(query))).collect()
        }
        BootstrapUnit::Class => {
            let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            for (query, &label) in labels.iter().enumerate() {
                members.entry(label).or_default().push(query);
            }
            members.values().map(|queries| sums(means, scores, judged, queries.iter().copied())).collect()
        }
    };
    Ok(means.iter().map(|mean| mean.name.clone()).zip(intervals(&units, config)).collect())
}

fn cluster(queries: &UnitEmbeddings, labels: &[i64], config: &KMeansConfig) -> Result<ClusteringScores> {
    let distinct = labels.iter().collect::<std::collections::BTreeSet<_>>().len();
    let config = KMeansConfig { clusters: config.clusters.or(Some(distinct)), ..config.clone() };
    ClusteringScores::new(labels, &kmeans(queries, &config)?.assignments)
}

fn judge_pairs(task: &RankTask<'_>, rates: &[f64], max_memory_bytes: usize) -> Result<PairScores> {
    let pairs = pair_histogram(task.queries, task.gallery, task.relevance, max_memory_bytes)?;
    let roc = metrics::roc(&pairs);
    Ok(PairScores {
        genuine: pairs.genuine_pairs(),
        impostor: pairs.impostor_pairs(),
        equal_error_rate: metrics::equal_error_rate(&roc),
        area_under_roc: metrics::area_under_roc(&roc),
        operating_points: rates.iter().filter_map(|&rate| metrics::fnmr_at_fmr(&roc, rate)).collect(),
        roc: metrics::thinned(&roc, 200),
        histogram: pairs.coarse(200),
        alignment: metrics::alignment(&pairs),
        uniformity: metrics::uniformity(&pairs),
        density: metrics::density(&pairs),
    })
}
