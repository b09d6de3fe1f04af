//! Distribution-aware prompts (DA-VPT): inside deep layers, prompts are drawn to the classes they stand for.
//!
//! Each class is given one of the P prompts: classes that the untrained backbone finds alike share one (k-means of the
//! classes' mean embeddings). In every watched block the prompts are proxies of the class tokens that enter it, under
//! Proxy-Anchor:
//!
//! ```text
//! L += weight * mean over blocks of proxy_anchor(class tokens [B, D], prompts [P, D])
//! ```
//! Ren et al., "DA-VPT: Semantic-Guided Visual Prompt Tuning for Vision Transformers", CVPR 2025. Differs from the source: the
//! classes' prompts are fixed before training instead of being found again every epoch, so that a run can be resumed from
//! its checkpoint alone, and class tokens are not aggregated with salient patches.

use std::sync::Arc;

use burn::tensor::Tensor;
use kinsight_model::Encoder;
use kinsight_model::head::l2_normalise;
use kinsight_model::prompts::PromptRows;
use kinsight_retrieval::{KMeansConfig, RetrievalError, UnitEmbeddings, kmeans};
use serde::{Deserialize, Serialize};

use crate::loss::{ProxyAnchorConfig, ProxyLoss};

/// Options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSpreadConfig {
    /// Weight of the term in the loss; 0 leaves it out.
    pub weight: f64,
    /// How many of the last blocks are watched.
    pub blocks: usize,
    /// Scale of Proxy-Anchor.
    pub alpha: f64,
    /// Margin of Proxy-Anchor.
    pub delta: f64,
}

impl Default for PromptSpreadConfig {
    /// Left out; the second half of a ViT with twelve blocks, and Proxy-Anchor's own scale and margin.
    fn default() -> Self {
        Self { weight: 0.0, blocks: 6, alpha: 32.0, delta: 0.1 }
    }
}

/// The term of one run.
#[derive(Clone, Debug)]
pub struct PromptSpread {
    config: PromptSpreadConfig,
    prompt_of_class: Arc<Vec<usize>>,
}

impl PromptSpread {
    /// Gives each class one of `prompts` prompts, from its mean embedding under the untrained backbone.
    ///
    /// `embeddings` are unit rows of images with `labels` below `classes`.
    ///
    /// # Errors
    /// [`RetrievalError`] if the means cannot be clustered.
    pub fn new(
        config: &PromptSpreadConfig,
        embeddings: &[f32],
        labels: &[u32],
        classes: usize,
        prompts: usize,
    ) -> Result<Self, RetrievalError> {
        let dim = embeddings.len() / labels.len().max(1);
        let mut sums = vec![0.0f32; classes * dim];
        for (row, label) in embeddings.chunks_exact(dim.max(1)).zip(labels) {
            let sum = &mut sums[*label as usize * dim..][..dim];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        // A class without a readable image has no direction; any will do.
        for sum in sums.chunks_exact_mut(dim.max(1)).filter(|sum| sum.iter().all(|v| *v == 0.0)) {
            sum[0] = 1.0;
        }
        let prompt_of_class = if classes <= prompts {
            (0..classes).collect()
        } else {
            let settings = KMeansConfig { clusters: Some(prompts), ..KMeansConfig::default() };
            let clustering = kmeans(&UnitEmbeddings::new(sums, dim)?, &settings)?;
            clustering.assignments.iter().map(|cluster| *cluster as usize).collect()
        };
        Ok(Self { config: config.clone(), prompt_of_class: Arc::new(prompt_of_class) })
    }

    /// A watch over one forward pass of images with `labels`.
    pub fn watch(&self, labels: &[usize]) -> Watch<'_> {
        Watch { of: self, labels: labels.iter().map(|label| self.prompt_of_class[*label]).collect(), terms: Vec::new() }
    }
}

/// What one forward pass has shown.
#[derive(Debug)]
pub struct Watch<'a> {
    of: &'a PromptSpread,
    labels: Vec<usize>,
    terms: Vec<Tensor<1>>,
}

impl Watch<'_> {
    /// Takes in the tokens that enter `block`.
    pub fn see(&mut self, block: usize, tokens: &Tensor<3>, encoder: &Encoder) {
        let config = &self.of.config;
        let depth = encoder.backbone.blocks.len();
        if block + config.blocks < depth {
            return;
        }
        let prompts = encoder.prompts.as_ref().and_then(|prompts| prompts.shared_in(block));
        let Some(PromptRows::Shared(prompts)) = prompts else { return };
        // A schedule that decreases may have no prompt left for some classes.
        let count = prompts.dims()[0];
        let labels: Vec<usize> = self.labels.iter().map(|label| label % count).collect();
        let class_tokens = tokens.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
        let anchor = ProxyAnchorConfig {
            positive_alpha: config.alpha,
            negative_alpha: config.alpha,
            positive_delta: config.delta,
            negative_delta: -config.delta,
            ..ProxyAnchorConfig::default()
        };
        self.terms.push(anchor.value(l2_normalise(class_tokens), l2_normalise(prompts), &labels));
    }

    /// The term, if any watched block had prompts.
    pub fn loss(self) -> Option<Tensor<1>> {
        let count = self.terms.len();
        let sum = self.terms.into_iter().reduce(|a, b| a + b)?;
        Some(sum.mul_scalar(self.of.config.weight / count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_look_alike_share_a_prompt() {
        let rows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.95], [1.0, 0.05], [0.05, 1.0]];
        let embeddings: Vec<f32> = rows.concat();
        let labels = [0, 0, 1, 1, 2, 3];
        let spread = PromptSpread::new(&PromptSpreadConfig::default(), &embeddings, &labels, 4, 2).unwrap();
        let of = &spread.prompt_of_class;
        assert!(of[0] == of[2] && of[1] == of[3] && of[0] != of[1], "{of:?}");
        let enough = PromptSpread::new(&PromptSpreadConfig::default(), &embeddings, &labels, 4, 10).unwrap();
        assert_eq!(*enough.prompt_of_class, [0, 1, 2, 3]);
    }
}
