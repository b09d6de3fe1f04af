//! What is attached to a frozen backbone, and which of its own parameters train.

use serde::{Deserialize, Serialize};

use crate::attach::{is_attached, split_qkv};
use crate::prompts::PromptSchedule;
use crate::vit::lora::LoraConfig;
use crate::vit::{Pooling, adapter::AdapterConfig};

/// Biases that BitFit may train apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BiasPart {
    /// Queries.
    Q,
    /// Keys; attention does not see them, the gradient is zero.
    K,
    /// Values.
    V,
    /// Attention's output projection.
    Proj,
    /// Both layers of the MLP.
    Mlp,
    /// Every LayerNorm.
    Norm,
    /// The patch projection.
    Patch,
}

/// The parameter-efficient fine-tuning of a backbone. Parts combine freely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// All backbone parameters train.
    pub full: bool,
    /// Biases of the backbone train (Ben Zaken et al., BitFit, 2022).
    pub bitfit: bool,
    /// Which biases; none named means every parameter whose name contains `bias`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bitfit_parts: Vec<BiasPart>,
    /// Weights and biases of every LayerNorm train.
    pub layer_norm: bool,
    /// How many of the last blocks train, with the final norm.
    pub last_blocks: usize,
    /// The first of those blocks; follows from `last_blocks` and the backbone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_trained_block: Option<usize>,
    /// Visual prompts of the encoder (Jia et al., VPT, 2022).
    pub prompts: Option<PromptSchedule>,
    /// VPT shallow: the first block's prompts stay among the tokens through all blocks.
    pub shallow_prompts: bool,
    /// Bottleneck adapters.
    pub adapter: Option<AdapterConfig>,
    /// Low-rank updates, LoRA or DoRA.
    pub lora: Option<LoraConfig>,
    /// Scale and shift behind every layer (SSF).
    pub ssf: bool,
    /// What stands for the image; `None` takes what the backbone was trained with.
    pub pooling: Option<Pooling>,
    /// Size E of the embedding; `None` leaves out the head, and the pooled token itself is the embedding.
    pub embedding: Option<usize>,
}

impl Tuning {
    /// Whether matrices of the blocks themselves change, so that fine-tunings cannot share them. What is attached to a
    /// layer (LoRA, DoRA, SSF) leaves its matrix as it is.
    pub fn trains_matrices(&self) -> bool {
        self.full || self.last_blocks > 0
    }

    /// Whether the encoder's parameter `name` (as `backbone.norm.bias`, `prompts.tables.0`, `head.norm.weight`) trains.
    pub fn trains(&self, name: &str) -> bool {
        // Prompts and head always do.
        name.strip_prefix("backbone.").is_none_or(|inner| self.trains_in_backbone(inner))
    }

    /// Whether the backbone's parameter `name` (as `norm.bias`) trains.
    pub fn trains_in_backbone(&self, name: &str) -> bool {
        self.full
            || name.contains(".adapter.")
            || is_attached(name)
            || (self.bitfit && self.is_trained_bias(name))
            || (self.layer_norm && is_norm(name))
            || self.is_in_last_blocks(name)
    }

    /// Which of the query, key and value parts of a fused qkv bias train, when only some of them do.
    pub fn split_qkv_bias(&self) -> Option<[bool; 3]> {
        if self.bitfit { split_qkv(&self.bitfit_parts) } else { None }
    }

    fn is_trained_bias(&self, inner: &str) -> bool {
        let parts = &self.bitfit_parts;
        if !inner.contains("bias") || parts.is_empty() {
            return inner.contains("bias");
        }
        if inner.ends_with("attn.qkv.bias") {
            return [BiasPart::Q, BiasPart::K, BiasPart::V].iter().all(|part| parts.contains(part));
        }
        let part = match inner {
            _ if is_norm(inner) => BiasPart::Norm,
            _ if inner.contains("attn.proj") => BiasPart::Proj,
            _ if inner.contains(".mlp.") => BiasPart::Mlp,
            _ if inner.starts_with("patch_embed.") => BiasPart::Patch,
            _ => return false,
        };
        parts.contains(&part)
    }

    fn is_in_last_blocks(&self, inner: &str) -> bool {
        let Some(first) = self.first_trained_block else { return false };
        match block_of(inner) {
            Some(block) => block >= first,
            None => inner.starts_with("norm."),
        }
    }
}

/// The block a backbone's parameter belongs to.
fn block_of(name: &str) -> Option<usize> {
    name.strip_prefix("blocks.")?.split('.').next()?.parse().ok()
}

fn is_norm(inner: &str) -> bool {
    inner.starts_with("norm") || inner.contains(".norm")
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
    fn bitfit_can_be_had_in_parts() {
        let parts = vec![BiasPart::Q, BiasPart::Mlp, BiasPart::Patch];
        let tuning = Tuning { bitfit: true, bitfit_parts: parts, ..Tuning::default() };
        assert_eq!(tuning.split_qkv_bias(), Some([true, false, false]));
        for (name, trains) in [
            ("blocks.3.attn.qkv.bias", false),
            ("blocks.3.attn.qkv.bias_offset.value", true),
            ("blocks.3.attn.proj.bias", false),
            ("blocks.3.mlp.fc1.bias", true),
            ("blocks.3.norm1.bias", false),
            ("patch_embed.proj.bias", true),
        ] {
            assert_eq!(tuning.trains(&format!("backbone.{name}")), trains, "{name}");
        }
    }

    #[test]
    fn norms_and_last_blocks() {
        let norms = Tuning { layer_norm: true, ..Tuning::default() };
        assert!(norms.trains("backbone.norm.weight") && norms.trains("backbone.blocks.11.norm2.bias"));
        assert!(!norms.trains("backbone.blocks.11.mlp.fc1.bias"));
        let last = Tuning { last_blocks: 1, first_trained_block: Some(11), ..Tuning::default() };
        assert!(last.trains("backbone.blocks.11.mlp.fc1.weight") && last.trains("backbone.norm.bias"));
        assert!(!last.trains("backbone.blocks.10.mlp.fc1.weight") && !last.trains("backbone.cls_token"));
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(serde_json::from_str::<Tuning>(r#"{"bitfti": true}"#).is_err());
    }
}
