//! Which numbers an evaluation takes of each query's ranking, under which name, and how deep they look.

use crate::evaluation::EvalConfig;
use crate::metrics::{self, Ranking};

pub(crate) const RECALL_AT_1: &str = "recall@1";
pub(crate) const MAP_AT_R: &str = "map@r";

/// One number per query.
pub(crate) struct Column {
    pub name: String,
    /// Whether its mean over all queries is reported too.
    pub also_over_all: bool,
    /// The deepest rank it looks at, beyond R + 1 of the query.
    pub depth: usize,
    pub score: Box<dyn Fn(&Ranking<'_>) -> f64 + Sync>,
}

/// The numbers that a configuration asks for; `most_relevant` is the largest R of any query.
pub(crate) fn columns(config: &EvalConfig, most_relevant: usize) -> Vec<Column> {
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

impl Column {
    fn new(name: impl Into<String>, depth: usize, score: impl Fn(&Ranking<'_>) -> f64 + Sync + 'static) -> Self {
        Self { name: name.into(), also_over_all: false, depth, score: Box::new(score) }
    }
}
