//! Learning rates that fall from block to block towards the input.
//!
//! ```text
//! rate(block i of L) = rate * decay^(L - i)      patches, tokens, positions: rate * decay^(L + 1)
//! ```
//! Final norm, head and prompts have the full rate. Bao et al., BEiT, 2022; the rule of its fine-tuning code.

use burn::module::Module;
use kinsight_model::parameters::inventory;
use kinsight_model::tuning::block_of;

/// Factors of the learning rate by parameter.
pub(super) struct LayerDecay {
    decay: f64,
    blocks: usize,
}

impl LayerDecay {
    /// `decay` 1 is the same rate everywhere.
    pub fn new(module: &impl Module, decay: f64) -> Self {
        let blocks = match decay {
            1.0 => 0,
            _ => inventory(module).iter().filter_map(|p| block_of(backbone(&p.name)?)).max().map_or(0, |last| last + 1),
        };
        Self { decay, blocks }
    }

    /// The factor of parameter `name`.
    pub fn factor(&self, name: &str) -> f64 {
        let Some(inner) = backbone(name).filter(|_| self.decay != 1.0) else { return 1.0 };
        match block_of(inner) {
            Some(block) => self.decay.powi((self.blocks - block) as i32),
            None if inner.starts_with("norm.") => 1.0,
            None => self.decay.powi(self.blocks as i32 + 1),
        }
    }
}

fn backbone(name: &str) -> Option<&str> {
    name.strip_prefix("encoder.")?.strip_prefix("backbone.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_towards_the_input() {
        let decay = LayerDecay { decay: 0.5, blocks: 12 };
        assert_eq!(decay.factor("encoder.head.norm.weight"), 1.0);
        assert_eq!(decay.factor("encoder.backbone.norm.bias"), 1.0);
        assert_eq!(decay.factor("encoder.backbone.blocks.11.norm1.bias"), 0.5);
        assert_eq!(decay.factor("encoder.backbone.blocks.0.norm1.bias"), 0.5f64.powi(12));
        assert_eq!(decay.factor("encoder.backbone.patch_embed.proj.bias"), 0.5f64.powi(13));
    }
}
