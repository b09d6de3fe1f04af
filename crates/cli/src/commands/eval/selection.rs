//! Which metrics are computed and shown, by the names that users give.

use anyhow::Result;
use kinsight_retrieval::{BootstrapConfig, BootstrapUnit, EvalConfig, KMeansConfig};

/// One metric, or a family with a K.
pub struct Metric {
    /// Name on the command line and in tables.
    pub name: &'static str,
    /// Definition in a line.
    pub about: &'static str,
}

/// All of them; `docs/metrics.md` has definitions and sources.
pub const METRICS: [Metric; 20] = [
    Metric { name: "recall", about: "Recall@K: share of queries with a relevant item among the first K" },
    Metric { name: "precision", about: "Precision@K: share of relevant items among the first K" },
    Metric { name: "ndcg", about: "nDCG@K: gains of the first K, discounted by rank, over the best possible" },
    Metric { name: "map@r", about: "MAP@R: average precision over the first R results, where R excludes the query" },
    Metric { name: "r_precision", about: "R-precision: share of relevant items among the first R" },
    Metric { name: "map", about: "MAP: average precision over the whole ranking" },
    Metric { name: "mrr", about: "MRR: one over the rank of the first relevant item" },
    Metric { name: "cmc", about: "CMC: Recall@K for K from 1 to 50, as a curve" },
    Metric { name: "map@r/counting_query", about: "MAP@R as in VPTSP-G's code: R includes the query" },
    Metric { name: "map/max_r", about: "pytorch-metric-learning's mean_average_precision" },
    Metric { name: "mrr/max_r", about: "pytorch-metric-learning's mean_reciprocal_rank" },
    Metric { name: "nmi", about: "normalized mutual information of k-means clusters and classes" },
    Metric { name: "ami", about: "adjusted mutual information of k-means clusters and classes" },
    Metric { name: "ari", about: "adjusted Rand index of k-means clusters and classes" },
    Metric { name: "pairwise_f1", about: "F1 over pairs of items: same cluster against same class" },
    Metric { name: "fnmr@fmr", about: "false non-match rate at false match rates of 10, 1 and 0.1 %" },
    Metric { name: "eer", about: "equal error rate, and area under the ROC curve" },
    Metric { name: "density", about: "ratio of distances within classes to those between classes" },
    Metric { name: "uniformity", about: "log of the mean Gaussian potential of pairs" },
    Metric { name: "alignment", about: "mean squared distance within classes" },
];

/// What is shown when nothing is asked for.
const BASIC: [&str; 2] = ["recall", "map@r"];

const FALSE_MATCH_RATES: [f64; 3] = [0.1, 0.01, 0.001];
const CMC_DEPTH: usize = 50;

/// The metrics that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    names: Vec<&'static str>,
}

impl Selection {
    /// Reads names; `all` stands for every metric, and none for Recall@K and MAP@R.
    ///
    /// # Errors
    /// A name that is no metric's.
    pub fn parse(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self { names: BASIC.to_vec() });
        }
        if names.iter().any(|name| name == "all") {
            return Ok(Self { names: METRICS.iter().map(|metric| metric.name).collect() });
        }
        let find = |name: &String| {
            let found = METRICS.iter().find(|metric| metric.name == name.to_lowercase());
            found.map(|metric| metric.name).ok_or_else(|| {
                anyhow::anyhow!("unknown metric {name}; `kinsight eval --metrics list` lists all metrics")
            })
        };
        Ok(Self { names: names.iter().map(find).collect::<Result<_>>()? })
    }

    /// Whether a metric was asked for.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// What the evaluation must compute for it.
    pub fn config(&self, ks: &[usize], resamples: usize, unit: BootstrapUnit, max_memory_bytes: usize) -> EvalConfig {
        EvalConfig {
            ks: ks.to_vec(),
            full_ranking: self.any(&["map", "mrr"]),
            variants: self.any(&["map@r/counting_query", "map/max_r", "mrr/max_r"]),
            cmc_depth: if self.has("cmc") { CMC_DEPTH } else { 0 },
            bootstrap: (resamples > 0).then(|| BootstrapConfig { resamples, unit, ..BootstrapConfig::default() }),
            clustering: self.any(&["nmi", "ami", "ari", "pairwise_f1"]).then(KMeansConfig::default),
            false_match_rates: self
                .any(&["fnmr@fmr", "eer", "density", "uniformity", "alignment"])
                .then(|| FALSE_MATCH_RATES.to_vec()),
            max_memory_bytes,
        }
    }

    /// Whether a name of [`Evaluation::metrics`](kinsight_retrieval::Evaluation) is to be shown.
    pub fn shows(&self, metric: &str) -> bool {
        if metric.ends_with("/with_reference_only") {
            return false;
        }
        match metric.split_once('@') {
            Some((family @ ("recall" | "precision" | "ndcg"), _)) => self.has(family),
            _ => self.has(metric),
        }
    }
}

/// Prints every metric with its definition.
pub fn print_list() {
    for metric in METRICS {
        println!("{:<22} {}", metric.name, metric.about);
    }
    println!("\nDefinitions, sources and conventions: docs/metrics.md");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_what_is_computed_and_shown() {
        let config = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            let selection = Selection::parse(&names).unwrap();
            (selection.config(&[1], 0, BootstrapUnit::Class, 1 << 20), selection)
        };
        let (basic, selection) = config(&[]);
        assert!(!basic.full_ranking && basic.clustering.is_none() && basic.bootstrap.is_none());
        assert!(selection.shows("recall@4") && selection.shows("map@r") && !selection.shows("ndcg@4"));
        assert!(!selection.shows("recall@4/with_reference_only"));
        let (all, selection) = config(&["all"]);
        assert!(all.full_ranking && all.variants && all.clustering.is_some() && all.false_match_rates.is_some());
        assert!(selection.shows("map@r/counting_query") && selection.shows("mrr"));
        let (some, selection) = config(&["MAP", "nmi"]);
        assert!(some.full_ranking && some.clustering.is_some() && !selection.shows("map@r"));
        assert!(Selection::parse(&["accuracy".to_owned()]).is_err());
    }
}
