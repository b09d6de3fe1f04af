//! Where the proxies of the loss come from.

use serde::{Deserialize, Serialize};

use crate::accumulator::AccumulatorConfig;
use crate::bank::BankStorage;
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
    /// A second pass through the backbone with a head of its own, `tower_prompts` saying with which prompts (the authors'
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

/// Which prompts the proxy tower uses besides the class prompts of the semantic source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TowerPrompts {
    /// None: class prompts alone (the authors' code), or a bare tower for the simple source.
    #[default]
    None,
    /// The encoder's visual prompts too (the paper; `simple_proxies_vpt`).
    Encoder,
}

/// Where class prompts stand among the tokens.
///
/// Prompts carry no position and attention does not see the order of tokens, so both are the same function, and both are
/// computed in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptPosition {
    /// Before the class token (the authors' code).
    #[default]
    BeforeClassToken,
    /// After the patch tokens (the paper).
    AfterPatches,
}

/// Options of the proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Where they come from.
    pub source: ProxySource,
    /// Class prompts of the semantic source.
    pub class_prompts: PromptSchedule,
    /// Where class prompts stand; changes nothing.
    pub class_prompt_position: PromptPosition,
    /// Prompts of the proxy tower besides the class prompts.
    pub tower_prompts: TowerPrompts,
    /// Share of the learned proxies O in the mix with the proxy memory Z; the authors' name.
    #[serde(alias = "learned_share")]
    pub proxy_bias_ratio: f64,
    /// Normalize O before it is mixed. The authors do not: O starts with rows of length 0.16 beside unit rows of Z, and its
    /// effective share is far below `proxy_bias_ratio`.
    #[serde(alias = "normalise_learned")]
    pub normalize_learned: bool,
    /// What turns the tower's outputs into proxies.
    pub accumulator: AccumulatorConfig,
    /// Class prompts and their optimizer state in host memory; only the batch's classes are updated.
    pub memory_bank: bool,
    /// Whether the bank is in memory or in a file of the run folder.
    pub bank_storage: BankStorage,
}

impl Default for ProxyConfig {
    /// The authors' settings for CUB with ViT-S: three class prompts in twelve blocks, half learned.
    fn default() -> Self {
        Self {
            source: ProxySource::default(),
            class_prompts: PromptSchedule { count: 3, depth: 12, step: 0 },
            class_prompt_position: PromptPosition::default(),
            tower_prompts: TowerPrompts::None,
            proxy_bias_ratio: 0.5,
            normalize_learned: false,
            accumulator: AccumulatorConfig::default(),
            memory_bank: false,
            bank_storage: BankStorage::default(),
        }
    }
}
