//! What is attached to a frozen backbone, and which of its own parameters train.

use serde::{Deserialize, Serialize};

use crate::prompts::PromptSchedule;
use crate::vit::{Pooling, adapter::AdapterConfig};

/// The parameter-efficient fine-tuning of a backbone. Parts combine freely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// All backbone parameters train.
    pub full: bool,
    /// Every backbone parameter whose name contains `bias` trains (Ben Zaken et al., BitFit, 2022).
    pub bitfit: bool,
    /// Visual prompts of the encoder (Jia et al., VPT, 2022).
    pub prompts: Option<PromptSchedule>,
    /// Bottleneck adapters.
    pub adapter: Option<AdapterConfig>,
    /// What stands for the image; `None` takes what the backbone was trained with.
    pub pooling: Option<Pooling>,
    /// Size E of the embedding; `None` leaves out the head, and the pooled token itself is the embedding.
    pub embedding: Option<usize>,
}

impl Tuning {
    /// Whether matrices of the blocks themselves change, so that fine-tunings cannot share them.
    pub fn trains_matrices(&self) -> bool {
        self.full
    }

    /// Whether the encoder's parameter `name` (as `backbone.norm.bias`, `prompts.tables.0`, `head.norm.weight`) trains.
    pub fn trains(&self, name: &str) -> bool {
        match name.strip_prefix("backbone.") {
            None => true, // prompts and head
            Some(inner) => self.full || inner.contains(".adapter.") || (self.bitfit && inner.contains("bias")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitfit_trains_biases_and_nothing_else_of_the_backbone() {
        let tuning = Tuning { bitfit: true, ..Tuning::default() };
        assert!(tuning.trains("backbone.patch_embed.proj.bias"));
        assert!(tuning.trains("backbone.blocks.3.attn.qkv.bias"));
        assert!(!tuning.trains("backbone.blocks.3.attn.qkv.weight"));
        assert!(!tuning.trains("backbone.pos_embed"));
        assert!(tuning.trains("prompts.tables.0"));
        assert!(tuning.trains("head.projection.weight"));
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(serde_json::from_str::<Tuning>(r#"{"bitfti": true}"#).is_err());
    }
}
