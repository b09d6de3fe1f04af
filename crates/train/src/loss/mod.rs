//! Losses between unit embeddings, proxies and each other: one file each.
//!
//! A loss is one of two kinds. A [`ProxyLoss`] compares samples with proxies: learned vectors (others call them class
//! weights), or their mix with semantic proxies. A [`PairLoss`] compares samples
//! with samples; when there is a proxy tower, the proxies of the batch's classes take part as one more sample each.
//!
//! Where a loss is also in pytorch-metric-learning 2.9, value and gradient equal its defaults: normalized embeddings, and
//! its default reducer, which is named in the file.

mod pairs;
mod reduce;
mod selection;

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::miner::{MinerConfig, MinerKind};

pub use pairs::Pairs;
pub use selection::Selection;

/// A loss of samples against proxies.
pub trait ProxyLoss {
    /// Proxies that each class has, K.
    fn centers_per_class(&self) -> usize {
        1
    }

    /// The loss of unit `embeddings` `[B, E]` against unit `proxies` `[C * K, E]`, those of a class side by side;
    /// `labels[b]` is below C.
    fn value(&self, embeddings: Tensor<2>, proxies: Tensor<2>, labels: &[usize]) -> Tensor<1>;
}

/// A loss of samples against samples.
pub trait PairLoss {
    /// How many numbers the loss itself learns; all start at zero.
    fn learned(&self, classes: usize) -> usize {
        let _ = classes;
        0
    }

    /// The loss of the selected pairs; `learned` are the loss's own numbers, if it has any.
    fn value(&self, pairs: &Pairs<'_>, learned: Option<Tensor<1>>) -> Tensor<1>;
}

/// Declares the losses: modules, the names they go by, their options, and who computes what.
macro_rules! losses {
    (
        proxies { $($proxy:ident $proxy_name:literal $proxy_mod:ident :: $proxy_config:ident;)* }
        samples { $($pair:ident $pair_name:literal $pair_mod:ident :: $pair_config:ident;)* }
    ) => {
        $(mod $proxy_mod;)*
        $(mod $pair_mod;)*
        $(pub use $proxy_mod::$proxy_config;)*
        $(pub use $pair_mod::$pair_config;)*

        /// Which loss, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum LossKind {
            $(#[doc = concat!("`", $proxy_name, "`: samples against proxies.")] #[serde(rename = $proxy_name)] $proxy,)*
            $(#[doc = concat!("`", $pair_name, "`: samples against samples.")] #[serde(rename = $pair_name)] $pair,)*
        }

        impl LossKind {
            /// All losses.
            pub const ALL: &[LossKind] = &[$(LossKind::$proxy,)* $(LossKind::$pair,)*];

            /// The name in settings.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$proxy => $proxy_name,)*
                    $(Self::$pair => $pair_name,)*
                }
            }
        }

        /// Options of the loss: which one, what it sees, and the options of each.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LossConfig {
            /// Which one.
            pub kind: LossKind,
            /// Which proxies it sees.
            pub range: ProxyRange,
            /// Which pairs a loss between samples sees.
            pub miner: MinerConfig,
            $(#[doc = concat!("Options of `", $proxy_name, "`.")] pub $proxy_mod: $proxy_config,)*
            $(#[doc = concat!("Options of `", $pair_name, "`.")] pub $pair_mod: $pair_config,)*
        }

        impl LossConfig {
            /// The loss that is chosen.
            pub fn chosen(&self) -> Chosen<'_> {
                match self.kind {
                    $(LossKind::$proxy => Chosen::Proxies(&self.$proxy_mod),)*
                    $(LossKind::$pair => Chosen::Samples(&self.$pair_mod),)*
                }
            }
        }
    };
}

losses! {
    proxies {
        ProxyAnchor "proxy-anchor" proxy_anchor::ProxyAnchorConfig;
        ProxyNca "proxy-nca" proxy_nca::ProxyNcaConfig;
        ProxyNcaSoftmax "proxy-nca-softmax" proxy_nca_softmax::ProxyNcaSoftmaxConfig;
        NormalizedSoftmax "normalized-softmax" normalized_softmax::NormalizedSoftmaxConfig;
        ArcFace "arcface" arcface::ArcFaceConfig;
        CosFace "cosface" cosface::CosFaceConfig;
        SoftTriple "soft-triple" soft_triple::SoftTripleConfig;
    }
    samples {
        MultiSimilarity "multi-similarity" multi_similarity::MultiSimilarityConfig;
        Contrastive "contrastive" contrastive::ContrastiveConfig;
        Triplet "triplet" triplet::TripletConfig;
        Margin "margin" margin::MarginConfig;
        NtXent "ntxent" ntxent::NtXentConfig;
        SupCon "supcon" supcon::SupConConfig;
        Circle "circle" circle::CircleConfig;
        LiftedStructure "lifted-structure" lifted_structure::LiftedStructureConfig;
        NPairs "npairs" npairs::NPairsConfig;
    }
}

pub use proxy_anchor::PositiveMean;

/// A loss with its options.
#[derive(Clone, Copy)]
pub enum Chosen<'a> {
    /// Samples against proxies.
    Proxies(&'a dyn ProxyLoss),
    /// Samples against samples.
    Samples(&'a dyn PairLoss),
}

impl Default for LossKind {
    /// The method's loss.
    fn default() -> Self {
        Self::ProxyAnchor
    }
}

/// Which proxies enter the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyRange {
    /// All C proxies (`both_all` in the authors' code).
    #[default]
    All,
    /// Those of the batch's classes (`in_batch`).
    InBatch,
}

impl LossConfig {
    /// # Errors
    /// [`TrainError::Config`] names the setting that is out of range, or does not go with the loss.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        if self.miner.kind != MinerKind::None && self.compares_proxies() {
            let message = format!("loss.miner selects pairs, but the loss {} has none", self.kind.name());
            let hint = "set loss.miner.kind = \"none\", or use a loss between samples, such as triplet";
            return Err(TrainError::config(message, hint));
        }
        if self.soft_triple.centers_per_class == 0 {
            return Err(TrainError::config("loss.soft_triple.centers_per_class is 0", "the paper uses 10"));
        }
        Ok(())
    }

    /// Whether the loss compares samples with proxies, and not with each other.
    pub fn compares_proxies(&self) -> bool {
        matches!(self.chosen(), Chosen::Proxies(_))
    }

    /// Proxies of each class, K.
    pub fn centers_per_class(&self) -> usize {
        match self.chosen() {
            Chosen::Proxies(loss) => loss.centers_per_class().max(1),
            Chosen::Samples(_) => 1,
        }
    }

    /// Numbers that the loss itself learns.
    pub fn learned(&self, classes: usize) -> usize {
        match self.chosen() {
            Chosen::Proxies(_) => 0,
            Chosen::Samples(loss) => loss.learned(classes),
        }
    }

    /// The loss between unit `embeddings` `[N, E]`, of the pairs that the miner keeps; the last `proxies` rows are proxies
    /// that take part as samples. `rng` serves a miner that draws.
    pub fn between_samples(
        &self,
        loss: &dyn PairLoss,
        embeddings: Tensor<2>,
        labels: &[usize],
        proxies: usize,
        learned: Option<Tensor<1>>,
        rng: &mut ChaCha8Rng,
    ) -> Tensor<1> {
        let dim = embeddings.dims()[1];
        let similarity = embeddings.clone().matmul(embeddings.transpose());
        let selection = self.miner.select(&similarity, labels, dim, rng);
        loss.value(&Pairs::new(similarity, labels, selection, proxies), learned)
    }
}

/// 1 where sample b belongs to proxy c, else 0; `[B, C]`.
fn membership(labels: &[usize], like: &Tensor<2>) -> Tensor<2> {
    let [batch, classes] = like.dims();
    let mut values = vec![0.0f32; batch * classes];
    for (row, label) in labels.iter().enumerate() {
        values[row * classes + label] = 1.0;
    }
    Tensor::from_data(TensorData::new(values, [batch, classes]), &like.device())
}
