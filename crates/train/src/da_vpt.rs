//! Distribution-aware prompts (DA-VPT): inside deep layers, prompts are drawn to the classes they stand for.
//!
//! Each class is given one of the P prompts: classes whose images lie close together share one (k-means of the classes' mean
//! embeddings, before training those of the untrained backbone, then every epoch those that its steps produced). A
//! prompt keeps the classes it has in common with the epoch before. In every watched block the prompts are proxies of the
//! class tokens that enter it, under Proxy-Anchor:
//!
//! ```text
//! L += weight * mean over blocks of proxy_anchor(class tokens [B, D], prompts [P, D])
//! ```
//! Ren et al., "DA-VPT: Semantic-Guided Visual Prompt Tuning for Vision Transformers", CVPR 2025. Differs from the source:
//! means come from the epoch's own steps, which costs nothing, and class tokens are not aggregated with salient patches.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use kinsight_model::Encoder;
use kinsight_model::head::l2_normalize;
use kinsight_model::prompts::PromptRows;
use kinsight_model::weights::TensorMap;
use kinsight_retrieval::{KMeansConfig, RetrievalError, UnitEmbeddings, kmeans};

use crate::loss::{ProxyAnchorConfig, ProxyLoss};

settings! {
    /// Options. Defaults: left out; the second half of a ViT with twelve blocks, and Proxy-Anchor's own scale and margin.
    DaVptConfig {
        /// Weight of the term in the loss; 0 leaves it out.
        weight: f64 = 0.0,
        /// How many of the last blocks are watched.
        blocks: usize = 6,
        /// Scale of Proxy-Anchor.
        alpha: f64 = 32.0,
        /// Margin of Proxy-Anchor.
        delta: f64 = 0.1,
    }
}

/// Sums of the embeddings of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSums {
    /// `[C, E]`
    values: Vec<f32>,
    dim: usize,
}

impl ClassSums {
    /// Nothing seen yet of `classes` classes, whose embeddings have the width `dim`.
    pub fn new(classes: usize, dim: usize) -> Self {
        Self { values: vec![0.0; classes * dim], dim }
    }

    /// Takes in unit rows `[B, E]` of images with these labels.
    pub fn add(&mut self, embeddings: &[f32], labels: impl IntoIterator<Item = usize>) {
        for (row, label) in embeddings.chunks_exact(self.dim).zip(labels) {
            let sum = &mut self.values[label * self.dim..][..self.dim];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
    }

    /// The classes of which something was seen, and their sums.
    fn seen(&self) -> (Vec<usize>, Vec<f32>) {
        let rows = self.values.chunks_exact(self.dim).enumerate();
        let seen = rows.filter(|(_, sum)| sum.iter().any(|value| *value != 0.0));
        let (classes, sums): (Vec<usize>, Vec<&[f32]>) = seen.unzip();
        (classes, sums.concat())
    }
}

/// The term of one run.
#[derive(Clone, Debug)]
pub struct DaVpt {
    config: DaVptConfig,
    prompts: usize,
    prompt_of_class: Arc<Vec<usize>>,
}

impl DaVpt {
    /// Gives each of `classes` classes one of `prompts` prompts in turn, until [`reassign`](Self::reassign) knows better.
    pub fn new(config: &DaVptConfig, classes: usize, prompts: usize) -> Self {
        let prompt_of_class = Arc::new((0..classes).map(|class| class % prompts.max(1)).collect());
        Self { config: config.clone(), prompts, prompt_of_class }
    }

    /// Groups the classes anew. A class of which nothing was seen keeps its prompt, and where there is a prompt for each
    /// class nothing changes.
    ///
    /// # Errors
    /// [`RetrievalError`] if the sums cannot be clustered.
    pub fn reassign(&mut self, sums: &ClassSums) -> Result<(), RetrievalError> {
        let (seen, values) = sums.seen();
        if self.prompts == 0 || self.prompt_of_class.len() <= self.prompts || seen.len() <= self.prompts {
            return Ok(());
        }
        let settings = KMeansConfig { clusters: Some(self.prompts), ..KMeansConfig::default() };
        let clusters = kmeans(&UnitEmbeddings::new(values, sums.dim)?, &settings)?.assignments;
        let clusters: Vec<usize> = clusters.into_iter().map(|cluster| cluster as usize).collect();
        let prompt_of_class = Arc::make_mut(&mut self.prompt_of_class);
        let before: Vec<usize> = seen.iter().map(|class| prompt_of_class[*class]).collect();
        let prompt_of_cluster = most_in_common(&clusters, &before, self.prompts);
        for (class, cluster) in seen.into_iter().zip(clusters) {
            prompt_of_class[class] = prompt_of_cluster[cluster];
        }
        Ok(())
    }

    /// The prompt of each class and the sums that the next grouping is made from, for a checkpoint.
    pub fn to_tensors(&self, sums: &ClassSums) -> TensorMap {
        let prompts: Vec<f32> = self.prompt_of_class.iter().map(|prompt| *prompt as f32).collect();
        let classes = prompts.len();
        TensorMap::from([
            ("prompt_of_class".to_string(), TensorData::new(prompts, [classes])),
            ("sums".to_string(), TensorData::new(sums.values.clone(), [classes, sums.dim])),
        ])
    }

    /// Goes back to what [`to_tensors`](Self::to_tensors) wrote.
    ///
    /// # Errors
    /// What is missing or of another size.
    pub fn restore(&mut self, sums: &mut ClassSums, tensors: &TensorMap) -> Result<(), String> {
        let values = |name: &str, expected: usize| {
            let found = tensors.get(name).and_then(|data| data.try_to_vec::<f32>().ok());
            found.filter(|values| values.len() == expected).ok_or_else(|| format!("da_vpt has no {expected} {name}"))
        };
        let prompts = values("prompt_of_class", self.prompt_of_class.len())?;
        if let Some(prompt) = prompts.iter().find(|prompt| **prompt as usize >= self.prompts.max(1)) {
            return Err(format!("da_vpt names prompt {prompt} of {}", self.prompts));
        }
        self.prompt_of_class = Arc::new(prompts.into_iter().map(|prompt| prompt as usize).collect());
        sums.values = values("sums", sums.values.len())?;
        Ok(())
    }

    /// Embeds images with `labels` as [`Encoder::encode_tokens`] does; and the term, if a watched block has prompts.
    ///
    /// # Shapes
    /// `[B, N, D]` to `[B, E]` and `[1]`
    pub fn encode(&self, encoder: &Encoder, tokens: Tensor<3>, labels: &[usize]) -> (Tensor<2>, Option<Tensor<1>>) {
        let depth = encoder.backbone.blocks.len();
        let prompts: Vec<usize> = labels.iter().map(|label| self.prompt_of_class[*label]).collect();
        let (mut tokens, appended) = encoder.append_shallow_prompts(tokens);
        let mut terms = Vec::new();
        for block in 0..depth {
            if block + self.config.blocks >= depth {
                terms.extend(self.term(encoder, block, &tokens, &prompts));
            }
            tokens = encoder.run_block(block, tokens, appended);
        }
        let weight = self.config.weight / terms.len() as f64;
        let sum = terms.into_iter().reduce(|a, b| a + b);
        (encoder.embedding_of(tokens), sum.map(|sum| sum.mul_scalar(weight)))
    }

    /// Proxy-Anchor of the class tokens that enter `block`, each of which belongs to one of its prompts.
    fn term(&self, encoder: &Encoder, block: usize, tokens: &Tensor<3>, prompt_of: &[usize]) -> Option<Tensor<1>> {
        let PromptRows::Shared(prompts) = encoder.prompts.as_ref()?.shared_in(block)? else { return None };
        // A schedule that decreases may have no prompt left for some classes.
        let count = prompts.dims()[0];
        let labels: Vec<usize> = prompt_of.iter().map(|prompt| prompt % count).collect();
        let class_tokens = tokens.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
        let anchor = ProxyAnchorConfig {
            positive_alpha: self.config.alpha,
            negative_alpha: self.config.alpha,
            positive_delta: self.config.delta,
            negative_delta: -self.config.delta,
            ..ProxyAnchorConfig::default()
        };
        Some(anchor.value(l2_normalize(class_tokens), l2_normalize(prompts), &labels))
    }
}

/// The name of each cluster among `names`: the one that most of its members had before, as far as it is still free.
fn most_in_common(clusters: &[usize], before: &[usize], names: usize) -> Vec<usize> {
    let mut common = vec![0_usize; names * names];
    for (cluster, name) in clusters.iter().zip(before) {
        common[cluster * names + name] += 1;
    }
    let mut pairs: Vec<usize> = (0..names * names).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(common[*pair]));
    let mut name_of = vec![None; names];
    let mut taken = vec![false; names];
    for (cluster, name) in pairs.into_iter().map(|pair| (pair / names, pair % names)) {
        if name_of[cluster].is_none() && !taken[name] {
            (name_of[cluster], taken[name]) = (Some(name), true);
        }
    }
    name_of.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(rows: &[[f32; 2]], labels: &[usize], classes: usize) -> ClassSums {
        let mut sums = ClassSums::new(classes, 2);
        sums.add(&rows.concat(), labels.iter().copied());
        sums
    }

    #[test]
    fn classes_that_look_alike_share_a_prompt() {
        let rows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.95], [1.0, 0.05], [0.05, 1.0]];
        let alike = sums(&rows, &[0, 0, 1, 1, 2, 3], 4);
        let mut term = DaVpt::new(&DaVptConfig::default(), 4, 2);
        term.reassign(&alike).unwrap();
        let of = term.prompt_of_class.clone();
        assert!(of[0] == of[2] && of[1] == of[3] && of[0] != of[1], "{of:?}");
        let mut enough = DaVpt::new(&DaVptConfig::default(), 4, 10);
        enough.reassign(&alike).unwrap();
        assert_eq!(*enough.prompt_of_class, [0, 1, 2, 3]);
    }

    #[test]
    fn a_new_grouping_keeps_the_prompts_of_the_old_one() {
        let mut term = DaVpt::new(&DaVptConfig::default(), 7, 2);
        let (x, y) = ([1.0, 0.0], [0.0, 1.0]);
        term.reassign(&sums(&[x, x, x, y, y, y, x], &[0, 1, 2, 3, 4, 5, 6], 7)).unwrap();
        let before = term.prompt_of_class.clone();
        // Class 2 has moved over to the others; nothing was seen of class 6.
        term.reassign(&sums(&[x, x, y, y, y, y], &[0, 1, 2, 3, 4, 5], 7)).unwrap();
        let moved = term.prompt_of_class.clone();
        assert_eq!(moved[2], before[3]);
        for class in [0, 1, 3, 4, 5, 6] {
            assert_eq!(moved[class], before[class], "class {class}: {before:?}, {moved:?}");
        }
    }

    #[test]
    fn a_checkpoint_brings_the_grouping_back() {
        let seen = sums(&[[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], &[0, 1, 2], 3);
        let mut term = DaVpt::new(&DaVptConfig::default(), 3, 2);
        term.reassign(&seen).unwrap();
        let tensors = term.to_tensors(&seen);
        let (mut again, mut empty) = (DaVpt::new(&DaVptConfig::default(), 3, 2), ClassSums::new(3, 2));
        again.restore(&mut empty, &tensors).unwrap();
        assert_eq!((again.prompt_of_class, empty), (term.prompt_of_class, seen));
        let mut of_another = DaVpt::new(&DaVptConfig::default(), 4, 2);
        assert!(of_another.restore(&mut ClassSums::new(4, 2), &tensors).is_err());
    }
}
