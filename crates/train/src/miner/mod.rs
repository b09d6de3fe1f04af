//! Miners: which pairs or triplets of a batch a loss between samples looks at; one file each.
//!
//! A miner sees numbers, not tensors: no gradient passes through the choice.

use burn::tensor::Tensor;
use kinsight_model::parameters::to_vec;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::loss::Selection;

/// Cosines of a batch as plain numbers.
#[derive(Debug)]
pub struct Cosines<'a> {
    /// Row-major, `[N, N]`.
    pub values: Vec<f32>,
    /// Class of each sample.
    pub labels: &'a [usize],
    /// Size E of an embedding.
    pub dim: usize,
}

impl Cosines<'_> {
    /// Cosine of two samples.
    pub fn of(&self, a: usize, b: usize) -> f64 {
        f64::from(self.values[a * self.labels.len() + b])
    }

    /// Euclidean distance of two samples.
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        (2.0 - 2.0 * self.of(a, b)).max(0.0).sqrt()
    }

    /// The others of `anchor`'s class.
    pub fn positives(&self, anchor: usize) -> impl Iterator<Item = usize> {
        (0..self.labels.len()).filter(move |other| *other != anchor && self.labels[*other] == self.labels[anchor])
    }

    /// The samples of other classes.
    pub fn negatives(&self, anchor: usize) -> impl Iterator<Item = usize> {
        (0..self.labels.len()).filter(move |other| self.labels[*other] != self.labels[anchor])
    }
}

/// Chooses pairs or triplets.
pub trait Miner {
    /// What the loss shall see; `rng` is a function of seed and step.
    fn mine(&self, cosines: &Cosines<'_>, rng: &mut ChaCha8Rng) -> Selection;
}

/// Declares the miners: modules, names, options.
macro_rules! miners {
    ($($miner:ident $name:literal $module:ident :: $config:ident;)*) => {
        $(mod $module;)*
        $(pub use $module::$config;)*

        /// Which miner, by name.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum MinerKind {
            /// `none`: every pair.
            #[default]
            #[serde(rename = "none")]
            None,
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $miner,)*
        }

        impl MinerKind {
            /// All miners.
            pub const ALL: &[MinerKind] = &[MinerKind::None, $(MinerKind::$miner,)*];
        }

        /// Options: which miner, and the options of each.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct MinerConfig {
            /// Which one.
            pub kind: MinerKind,
            $(#[doc = concat!("Options of `", $name, "`.")] pub $module: $config,)*
        }

        impl MinerConfig {
            fn chosen(&self) -> Option<&dyn Miner> {
                match self.kind {
                    MinerKind::None => None,
                    $(MinerKind::$miner => Some(&self.$module),)*
                }
            }
        }
    };
}

miners! {
    SemiHard "semi-hard" semi_hard::SemiHardConfig;
    BatchHard "batch-hard" batch_hard::BatchHardConfig;
    DistanceWeighted "distance-weighted" distance_weighted::DistanceWeightedConfig;
    MultiSimilarity "multi-similarity" multi_similarity::MultiSimilarityMinerConfig;
}

impl MinerConfig {
    /// What a loss shall see of a batch with cosines `similarity` `[N, N]` of embeddings of size `dim`.
    pub fn select(&self, similarity: &Tensor<2>, labels: &[usize], dim: usize, rng: &mut ChaCha8Rng) -> Selection {
        let Some(miner) = self.chosen() else { return Selection::all(labels) };
        let values = to_vec(similarity.clone().detach());
        miner.mine(&Cosines { values, labels, dim }, rng)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Points on the unit circle at these angles.
    fn mined(kind: MinerKind, angles: &[f64], labels: &[usize]) -> Selection {
        let values = angles.iter().flat_map(|a| angles.iter().map(move |b| (a - b).cos() as f32)).collect();
        let config = MinerConfig { kind, ..MinerConfig::default() };
        let cosines = Cosines { values, labels, dim: 8 };
        config.chosen().unwrap().mine(&cosines, &mut ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn semi_hard_negatives_are_farther_than_the_positive_but_within_the_margin() {
        // Distances from sample 0: 0.2 to its positive, then 0.1, 0.3, 1.6 to negatives.
        let found = mined(MinerKind::SemiHard, &[0.0, 0.2, -0.1, 0.3, -1.9], &[0, 0, 1, 2, 3]);
        let of_first: Vec<_> = found.triplets().into_iter().filter(|t| t[0] == 0).collect();
        assert_eq!(of_first, [[0, 1, 3]]);
    }

    #[test]
    fn batch_hard_takes_the_farthest_positive_and_the_nearest_negative() {
        let found = mined(MinerKind::BatchHard, &[0.0, 0.2, 0.9, -0.3, 1.5], &[0, 0, 0, 1, 1]);
        assert!(found.triplets().contains(&[0, 2, 3]));
        assert_eq!(found.triplets().len(), 5, "one for each anchor");
    }

    #[test]
    fn multi_similarity_keeps_pairs_that_are_hard_beside_the_other_kind() {
        let found = mined(MinerKind::MultiSimilarity, &[0.0, 0.1, 1.2, 2.9], &[0, 0, 1, 2]);
        assert!(!found.is_positive(0, 1), "much nearer than every negative");
        assert!(!found.is_negative(0, 3), "much farther than every positive");
        let found = mined(MinerKind::MultiSimilarity, &[0.0, 0.9, 0.5, 2.9], &[0, 0, 1, 2]);
        assert!(found.is_positive(0, 1) && found.is_negative(0, 2) && !found.is_negative(0, 3));
    }

    #[test]
    fn distance_weighted_draws_one_negative_for_each_positive_pair() {
        let angles = [0.0, 0.2, 0.9, 1.1, 2.0, 3.1];
        let labels = [0, 0, 1, 1, 2, 3];
        let found = mined(MinerKind::DistanceWeighted, &angles, &labels);
        assert_eq!(found, mined(MinerKind::DistanceWeighted, &angles, &labels), "seeded");
        let triplets = found.triplets();
        assert_eq!(triplets.iter().map(|t| (t[0], t[1])).collect::<Vec<_>>(), [(0, 1), (1, 0), (2, 3), (3, 2)]);
        assert!(triplets.iter().all(|[a, p, n]| labels[*a] == labels[*p] && labels[*a] != labels[*n]));
        // Beyond the cutoff of 1.4 nothing is drawn: samples at an angle above 1.55.
        assert!(triplets.iter().all(|[a, _, n]| (angles[*a] - angles[*n]).abs() < 1.6));
    }

    #[test]
    fn a_batch_without_negatives_mines_nothing() {
        for kind in MinerKind::ALL.iter().filter(|kind| **kind != MinerKind::None) {
            assert!(mined(*kind, &[0.0, 0.5], &[0, 0]).triplets().is_empty(), "{kind:?}");
        }
    }
}
