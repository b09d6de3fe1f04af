//! How a clustering and the classes overlap: all that the metrics of a clustering look at.

use std::collections::BTreeMap;

use crate::error::{Result, RetrievalError};

/// Counts of items by class, by cluster, and by both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contingency {
    items: u64,
    class_sizes: Vec<u64>,
    cluster_sizes: Vec<u64>,
    /// (class, cluster, count) where the count is not zero.
    cells: Vec<(u32, u32, u64)>,
}

impl Contingency {
    /// Counts `classes` against `clusters`, one entry each for every item.
    ///
    /// # Errors
    /// If the lengths differ or are zero.
    pub fn new(classes: &[i64], clusters: &[i64]) -> Result<Self> {
        if classes.len() != clusters.len() {
            let (rows, labels) = (clusters.len(), classes.len());
            return Err(RetrievalError::LabelCount { what: "clustering", rows, labels });
        }
        if classes.is_empty() {
            return Err(RetrievalError::Empty { what: "the clustering" });
        }
        let (class_of, class_sizes) = numbered(classes);
        let (cluster_of, cluster_sizes) = numbered(clusters);
        let mut cells: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (&class, &cluster) in class_of.iter().zip(&cluster_of) {
            *cells.entry((class, cluster)).or_default() += 1;
        }
        let cells = cells.into_iter().map(|((class, cluster), count)| (class, cluster, count)).collect();
        Ok(Self { items: classes.len() as u64, class_sizes, cluster_sizes, cells })
    }

    /// Number of items.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Items of each class.
    pub fn class_sizes(&self) -> &[u64] {
        &self.class_sizes
    }

    /// Items of each cluster.
    pub fn cluster_sizes(&self) -> &[u64] {
        &self.cluster_sizes
    }

    /// For each class and cluster that share items: the class's size, the cluster's size, and how many they share.
    pub fn cells(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.cells.iter().map(|&(class, cluster, shared)| {
            (self.class_sizes[class as usize], self.cluster_sizes[cluster as usize], shared)
        })
    }

    /// Whether there is a single class and a single cluster, which agree by any metric.
    pub(crate) fn is_trivial(&self) -> bool {
        self.class_sizes.len() == 1 && self.cluster_sizes.len() == 1
    }

    /// Mutual information of class and cluster, in nats.
    pub(crate) fn mutual_information(&self) -> f64 {
        let n = self.items as f64;
        self.cells()
            .map(|(class, cluster, shared)| {
                let shared = shared as f64;
                shared / n * (n * shared / (class as f64 * cluster as f64)).ln()
            })
            .sum::<f64>()
            .max(0.0)
    }

    /// Mean of the entropies of the classes and of the clusters, in nats.
    pub(crate) fn mean_entropy(&self) -> f64 {
        let entropy = |sizes: &[u64]| {
            let shares = sizes.iter().map(|&size| size as f64 / self.items as f64);
            -shares.map(|share| share * share.ln()).sum::<f64>()
        };
        (entropy(&self.class_sizes) + entropy(&self.cluster_sizes)) / 2.0
    }

    /// Unordered pairs of items that share the class, the cluster, and both.
    pub(crate) fn pairs(&self) -> Pairs {
        let pairs = |size: u64| size as f64 * (size as f64 - 1.0) / 2.0;
        Pairs {
            all: pairs(self.items),
            same_class: self.class_sizes.iter().copied().map(pairs).sum(),
            same_cluster: self.cluster_sizes.iter().copied().map(pairs).sum(),
            same_both: self.cells.iter().map(|&(_, _, shared)| pairs(shared)).sum(),
        }
    }
}

/// Counts of unordered pairs of items.
pub(crate) struct Pairs {
    pub all: f64,
    pub same_class: f64,
    pub same_cluster: f64,
    pub same_both: f64,
}

/// The labels renamed to 0, 1, ... in their order, and how often each occurs.
fn numbered(labels: &[i64]) -> (Vec<u32>, Vec<u64>) {
    let mut sizes: BTreeMap<i64, (u32, u64)> = BTreeMap::new();
    for &label in labels {
        sizes.entry(label).or_default().1 += 1;
    }
    for ((number, _), next) in sizes.values_mut().zip(0..) {
        *number = next;
    }
    let numbers = labels.iter().map(|label| sizes[label].0).collect();
    (numbers, sizes.into_values().map(|(_, size)| size).collect())
}
