//! Where the proxies of the loss come from.

use serde::{Deserialize, Serialize};

use crate::accumulator::AccumulatorConfig;
use crate::bank::BankStorage;
use crate::error::TrainError;
use kinsight_model::prompts::PromptSchedule;

/// Source of the proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxySource {
    /// Learned vectors alone: no proxy tower.
    #[default]
    Learned,
    /// Accumulated embeddings of the batch's own images: no second pass. No gradient passes from proxies to embeddings,
    /// which would only teach them to be like themselves.
    Samples,
    /// A second pass through the backbone with its own head and the prompts that `tower_prompts` names (the authors'
    /// `simple_proxies`).
    Simple,
    /// `simple` with the encoder's prompts.
    SameEncoder,
    /// A second pass through the backbone as it was before training.
    FixedEncoder,
    /// A second pass with prompts of each image's class: the method's semantic proxies.
    #[serde(alias = "class-prompts")]
    Semantic,
}

impl ProxySource {
    /// Whether there is an accumulator, and proxies that it makes.
    pub fn accumulates(self) -> bool {
        self != Self::Learned
    }

    /// Whether images pass the backbone a second time.
    pub fn has_second_pass(self) -> bool {
        !matches!(self, Self::Learned | Self::Samples)
    }
}

/// Which prompts the proxy tower uses in addition to the class prompts of the semantic source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TowerPrompts {
    /// None: class prompts alone (the authors' code), or a bare tower for the simple source.
    #[default]
    None,
    /// The encoder's visual prompts too (the paper; `simple_proxies_vpt`).
    Encoder,
}

settings! {
    /// Options of the proxies.
    ///
    /// Defaults: the authors' settings for CUB with ViT-S: three class prompts in twelve blocks, half learned.
    ProxyConfig {
        /// Where they come from.
        source: ProxySource = ProxySource::default(),
        /// Class prompts of the semantic source.
        class_prompts: PromptSchedule = PromptSchedule { count: 3, depth: 12, step: 0 },
        /// Prompts of the proxy tower in addition to the class prompts.
        tower_prompts: TowerPrompts = TowerPrompts::None,
        /// Share of the learned proxies O in the mix with the proxy memory Z; the authors' name.
        #[serde(alias = "learned_share")]
        proxy_bias_ratio: f64 = 0.5,
        /// Normalize O before it is mixed. The authors do not: O starts with rows of length 0.16 against unit rows of Z, and its
        /// effective share is far below `proxy_bias_ratio`.
        #[serde(alias = "normalise_learned")]
        normalize_learned: bool = false,
        /// What turns the tower's outputs into proxies.
        accumulator: AccumulatorConfig = AccumulatorConfig::default(),
        /// Class prompts and their optimizer state in host memory; only the batch's classes are updated.
        memory_bank: bool = false,
        /// Whether the bank is in memory or in a file of the run folder.
        bank_storage: BankStorage = BankStorage::default(),
    }
}

impl ProxyConfig {
    /// # Errors
    /// [`TrainError::Config`] names the setting that is out of range, or does not go with the source.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let fail = |message: &str, hint: &str| Err(TrainError::config(message, hint));
        if self.memory_bank && self.source != ProxySource::Semantic {
            return fail(
                "proxies.memory_bank needs class prompts",
                "set proxies.source = \"semantic\" (method vptsp-m or vptsp-g), or turn the bank off",
            );
        }
        if self.source == ProxySource::Semantic && (self.class_prompts.count == 0 || self.class_prompts.depth == 0) {
            return fail("proxies.class_prompts has no prompt", "raise count and depth, or use another proxies.source");
        }
        if !(0.0..=1.0).contains(&self.proxy_bias_ratio) {
            return fail("proxies.proxy_bias_ratio is outside 0 to 1", "the authors use 0.5");
        }
        if !(0.0..1.0).contains(&self.accumulator.dropout) {
            return fail("proxies.accumulator.dropout is outside 0 to below 1", "0 is none");
        }
        Ok(())
    }
}
