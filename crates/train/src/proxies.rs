//! Where the proxies of the loss come from.

use serde::{Deserialize, Serialize};

use crate::accumulator::AccumulatorConfig;
use kinsight_model::prompts::PromptSchedule;

/// Source of the proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxySource {
    /// Learned vectors alone: no proxy tower.
    #[default]
    Learned,
    /// A proxy tower without class prompts.
    Simple,
    /// A proxy tower whose class prompts make semantic proxies: the method.
    Semantic,
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

/// Options of the proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Learned, simple or semantic.
    pub source: ProxySource,
    /// Class prompts of the semantic source.
    pub class_prompts: PromptSchedule,
    /// Prompts of the proxy tower besides the class prompts.
    pub tower_prompts: TowerPrompts,
    /// Share of the learned proxies O in the mix with the container Z (`proxy_bias_ratio`).
    pub learned_share: f64,
    /// What turns the tower's outputs into proxies.
    pub accumulator: AccumulatorConfig,
    /// Class prompts and their optimiser state in host memory; only the batch's classes are updated.
    pub memory_bank: bool,
}

impl Default for ProxyConfig {
    /// The authors' settings for CUB with ViT-S: three class prompts in twelve blocks, half learned.
    fn default() -> Self {
        Self {
            source: ProxySource::default(),
            class_prompts: PromptSchedule { count: 3, depth: 12, step: 0 },
            tower_prompts: TowerPrompts::None,
            learned_share: 0.5,
            accumulator: AccumulatorConfig::default(),
            memory_bank: false,
        }
    }
}
