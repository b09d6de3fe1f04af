//! Everything that trains, and one forward pass of it.
//!
//! The encoder makes embeddings; the proxy tower runs the same images through the same backbone a second time, with
//! prompts of each image's class, and what it says accumulates to semantic proxies.

use std::collections::BTreeMap;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Int, Tensor, TensorData};
use kinsight_model::head::{EmbeddingHead, l2_normalize};
use kinsight_model::parameters::{ParameterSource, set_trainable};
use kinsight_model::prompts::{PromptRows, PromptTables};
use kinsight_model::{Encoder, Tuning, VisionTransformer, VitConfig};
use rand_chacha::ChaCha8Rng;

use crate::accumulator::Accumulator;
use crate::da_vpt::DaVpt;
use crate::loss::{Chosen, LossConfig, ProxyRange};
use crate::proxies::{ProxyConfig, ProxySource, TowerPrompts};

/// The trained model of a run: encoder, proxy tower, learned proxies.
#[derive(Module, Debug)]
pub struct Learner {
    /// What is kept after training.
    pub encoder: Encoder,
    /// What makes semantic or simple proxies, if the method has them.
    pub proxy_tower: Option<ProxyTower>,
    /// Learned proxies O, `[C * K, E]`, the K of a class side by side; absent when a loss between samples has no use
    /// for them.
    pub proxies: Option<Param<Tensor<2>>>,
    /// Numbers that the loss itself learns.
    pub loss_parameters: Option<Param<Tensor<1>>>,
    /// Number of training classes C.
    #[module(skip)]
    pub classes: usize,
    /// The DA-VPT term, with the prompt of each class.
    #[module(skip)]
    pub da_vpt: Option<DaVpt>,
}

/// Head, class prompts and accumulator of the second pass.
#[derive(Module, Debug)]
pub struct ProxyTower {
    /// Class prompts `[C, P, D]` a block; absent with the simple source, or when a memory bank holds them.
    pub prompts: Option<PromptTables>,
    /// The tower's own head; absent with the source `samples`, which has no second pass.
    pub head: Option<EmbeddingHead>,
    /// What folds the tower's outputs into the proxy memory.
    pub accumulator: Accumulator,
    /// The backbone as it was before training, for the source `fixed-encoder`; it shares the memory of what is frozen.
    #[module(skip)]
    pub fixed: Option<Box<VisionTransformer>>,
}

/// The images and labels of one step.
#[derive(Debug)]
pub struct TrainBatch {
    /// `[B, 3, H, W]`, normalized.
    pub images: Tensor<4>,
    /// `[B]`, grouped: each class's k images follow each other.
    pub labels: Vec<usize>,
    /// Class prompts of this batch's classes `[G, P, D]` in order of appearance, when a memory bank holds them.
    pub banked_prompts: Option<PromptTables>,
}

impl TrainBatch {
    /// The distinct classes in order of appearance.
    pub fn classes(&self) -> Vec<usize> {
        distinct_in_order(&self.labels)
    }
}

/// Distinct labels in order of first appearance.
pub(crate) fn distinct_in_order(labels: &[usize]) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    labels.iter().copied().filter(|label| seen.insert(*label)).collect()
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct StepOutput {
    /// `[1]`
    pub loss: Tensor<1>,
    /// Unit embeddings `[B, E]`.
    pub embeddings: Tensor<2>,
    /// Proxies of all classes before the loss normalizes them, `[C * K, E]`, if there are any.
    pub proxies: Option<Tensor<2>>,
    /// Unit proxies of the batch's classes, `[G * K, E]`, with a proxy tower.
    pub batch_proxies: Option<Tensor<2>>,
    /// The new proxy memory, out of the graph, with a proxy tower.
    pub proxy_memory: Option<Tensor<2>>,
}

impl Learner {
    /// Builds the learner for `classes` training classes; names as in the module tree.
    pub fn from_source(
        source: &mut impl ParameterSource,
        config: &VitConfig,
        tuning: &Tuning,
        proxies: &ProxyConfig,
        loss: &LossConfig,
        classes: usize,
    ) -> Self {
        let embedding = tuning.embedding.unwrap_or(config.width);
        let encoder = Encoder::from_source(&mut Prefixed { prefix: "encoder.", inner: source }, config, tuning);
        let proxy_tower = proxies.source.accumulates().then(|| {
            let class_prompts = proxies.source == ProxySource::Semantic && !proxies.memory_bank;
            let schedule = proxies.class_prompts;
            ProxyTower {
                prompts: class_prompts
                    .then(|| PromptTables::from_source(source, "proxy_tower.prompts", classes, config.width, schedule)),
                head: proxies
                    .source
                    .has_second_pass()
                    .then(|| EmbeddingHead::from_source(source, "proxy_tower.head", config.width, embedding)),
                accumulator: Accumulator::from_source(
                    source,
                    "proxy_tower.accumulator",
                    embedding,
                    &proxies.accumulator,
                ),
                fixed: (proxies.source == ProxySource::FixedEncoder).then(|| Box::new(bare(&encoder.backbone))),
            }
        });
        let has_proxies = loss.compares_proxies() || proxy_tower.is_some();
        let rows = classes * loss.centers_per_class();
        let proxies = has_proxies.then(|| source.parameter("proxies", [rows, embedding]));
        let learned = loss.learned(classes);
        let loss_parameters = (learned > 0).then(|| source.parameter("loss_parameters", [learned]));
        Self { encoder, proxy_tower, proxies, loss_parameters, classes, da_vpt: None }
    }

    /// Makes exactly the declared parameters require gradients.
    #[must_use]
    pub fn with_trainable(self, tuning: &Tuning) -> Self {
        let all = set_trainable(self, |_| true);
        Self { encoder: all.encoder.with_trainable(tuning), ..all }
    }

    /// One forward pass of both towers and the loss.
    ///
    /// Pure: the proxy memory changes only when the caller takes the one returned. `random` serves dropout and miners.
    pub fn forward(
        &self,
        batch: TrainBatch,
        proxy_memory: &Tensor<2>,
        proxies: &ProxyConfig,
        loss: &LossConfig,
        random: &mut ChaCha8Rng,
    ) -> StepOutput {
        let classes = batch.classes();
        let pixels = (proxies.source == ProxySource::FixedEncoder).then(|| batch.images.clone());
        // Patch projection and positions are the same for both towers and computed once.
        let tokens = self.encoder.embed_tokens(batch.images);
        let (embeddings, of_prompts) = match &self.da_vpt {
            None => (self.encoder.encode_tokens(tokens.clone()), None),
            Some(da_vpt) => da_vpt.encode(&self.encoder, tokens.clone(), &batch.labels),
        };
        let (mixed, proxy_memory) = match (&self.proxy_tower, &self.proxies) {
            (Some(tower), Some(learned)) => {
                let samples = match (&tower.head, pixels) {
                    (None, _) => embeddings.clone().detach(),
                    (Some(head), Some(pixels)) => tower.encode_fixed(head, &self.encoder, pixels),
                    (Some(head), None) => {
                        let prompts =
                            tower.block_prompts(&self.encoder, &batch.labels, &classes, batch.banked_prompts, proxies);
                        tower.encode(head, &self.encoder, tokens, prompts, proxies)
                    }
                };
                let new = tower.accumulator.accumulate(proxy_memory.clone(), &classes, samples, random);
                let mixed = mix(learned.val(), new.states, new.proxy_memory.clone(), &classes, proxies);
                (Some(mixed), Some(new.proxy_memory.without_autodiff()))
            }
            (_, learned) => (learned.as_ref().map(|learned| Mixed { all: learned.val(), of_batch: None }), None),
        };
        let value = self.loss(&embeddings, mixed.as_ref(), batch.labels, &classes, loss, random);
        let value = of_prompts.into_iter().fold(value, |value, term| value + term);
        let (all, of_batch) = mixed.map_or((None, None), |mixed| (Some(mixed.all), mixed.of_batch));
        StepOutput { loss: value, embeddings, proxies: all, batch_proxies: of_batch, proxy_memory }
    }

    /// Unit proxies of all classes as the loss compares with them, `[C * K, E]`, if the learner has any.
    pub fn class_proxies(&self, proxy_memory: &Tensor<2>, config: &ProxyConfig) -> Option<Tensor<2>> {
        let learned = self.proxies.as_ref()?.val();
        let all = match &self.proxy_tower {
            Some(_) => blend(prepared(learned, config), proxy_memory.clone(), config),
            None => learned,
        };
        Some(l2_normalize(all))
    }

    fn loss(
        &self,
        embeddings: &Tensor<2>,
        mixed: Option<&Mixed>,
        labels: Vec<usize>,
        classes: &[usize],
        config: &LossConfig,
        random: &mut ChaCha8Rng,
    ) -> Tensor<1> {
        match (config.chosen(), mixed) {
            (Chosen::Proxies(loss), Some(Mixed { all, of_batch })) => {
                let (seen, labels) = match config.range {
                    ProxyRange::All => (l2_normalize(all.clone()), labels),
                    ProxyRange::InBatch => {
                        let local: BTreeMap<usize, usize> = classes.iter().enumerate().map(|(i, c)| (*c, i)).collect();
                        let rows = of_batch.clone().unwrap_or_else(|| {
                            let centers = all.dims()[0] / self.classes;
                            l2_normalize(rows_of_classes(all, classes, centers))
                        });
                        (rows, labels.iter().map(|label| local[label]).collect())
                    }
                };
                loss.value(embeddings.clone(), seen, &labels)
            }
            (Chosen::Samples(loss), mixed) => {
                // Semantic proxies are one more sample of their class each.
                let (samples, labels, proxies) = match mixed.and_then(|mixed| mixed.of_batch.clone()) {
                    Some(rows) => {
                        let labels = [&labels[..], classes].concat();
                        (Tensor::cat(vec![embeddings.clone(), rows], 0), labels, classes.len())
                    }
                    None => (embeddings.clone(), labels, 0),
                };
                let learned = self.loss_parameters.as_ref().map(|parameters| parameters.val());
                config.between_samples(loss, samples, &labels, proxies, learned, random)
            }
            (Chosen::Proxies(_), None) => {
                unreachable!("a learner has proxies if the loss it was built for compares them")
            }
        }
    }
}

/// Learned and semantic proxies together.
struct Mixed {
    /// `[C * K, E]`
    all: Tensor<2>,
    /// Unit rows `[G * K, E]`, with a proxy tower.
    of_batch: Option<Tensor<2>>,
}

/// O as it is mixed.
fn prepared(learned: Tensor<2>, config: &ProxyConfig) -> Tensor<2> {
    if config.normalize_learned { l2_normalize(learned) } else { learned }
}

/// `share * O + (1 - share) * Z`; each of a class's K proxies with the same row of Z.
fn blend(learned: Tensor<2>, semantic: Tensor<2>, config: &ProxyConfig) -> Tensor<2> {
    let (share, centers) = (config.proxy_bias_ratio, learned.dims()[0] / semantic.dims()[0]);
    learned * share + repeat_rows(semantic, centers) * (1.0 - share)
}

/// The blend for all classes and for those of the batch.
fn mix(
    learned: Tensor<2>,
    states: Tensor<2>,
    proxy_memory: Tensor<2>,
    classes: &[usize],
    config: &ProxyConfig,
) -> Mixed {
    let learned = prepared(learned, config);
    let centers = learned.dims()[0] / proxy_memory.dims()[0];
    let of_batch = l2_normalize(blend(rows_of_classes(&learned, classes, centers), states, config));
    Mixed { all: blend(learned, proxy_memory, config), of_batch: Some(of_batch) }
}

/// Each row `times` times, side by side.
fn repeat_rows(rows: Tensor<2>, times: usize) -> Tensor<2> {
    if times == 1 {
        return rows;
    }
    let [count, width] = rows.dims();
    rows.reshape([count, 1, width]).expand([count, times, width]).reshape([count * times, width])
}

/// The K rows of each of `classes`, from `[C * K, E]` to `[G * K, E]`.
fn rows_of_classes(all: &Tensor<2>, classes: &[usize], centers: usize) -> Tensor<2> {
    let rows: Vec<usize> = classes.iter().flat_map(|class| class * centers..(class + 1) * centers).collect();
    all.clone().select(0, index_tensor(&rows, all))
}

impl ProxyTower {
    fn block_prompts(
        &self,
        encoder: &Encoder,
        labels: &[usize],
        classes: &[usize],
        banked: Option<PromptTables>,
        config: &ProxyConfig,
    ) -> Vec<Option<PromptRows>> {
        let visual = if uses_encoder_prompts(config) { encoder.block_prompts() } else { Vec::new() };
        let device = &encoder.backbone.norm.weight.device();
        let index = |rows: Vec<i64>| Tensor::<1, Int>::from_data(TensorData::new(rows, [labels.len()]), device);
        let of_class = match (banked, &self.prompts) {
            (Some(buffer), _) => {
                let position: BTreeMap<usize, i64> = classes.iter().copied().zip(0..).collect();
                buffer.of_classes(&index(labels.iter().map(|label| position[label]).collect()))
            }
            (None, Some(tables)) => tables.of_classes(&index(labels.iter().map(|label| *label as i64).collect())),
            (None, None) => Vec::new(),
        };
        join_prompts(visual, of_class, labels.len())
    }

    /// # Shapes
    /// tokens `[B, N, D]` to unit rows `[B, E]`
    fn encode(
        &self,
        head: &EmbeddingHead,
        encoder: &Encoder,
        tokens: Tensor<3>,
        prompts: Vec<Option<PromptRows>>,
        config: &ProxyConfig,
    ) -> Tensor<2> {
        let shallow = uses_encoder_prompts(config);
        let (tokens, appended) = if shallow { encoder.append_shallow_prompts(tokens) } else { (tokens, 0) };
        let pooled = encoder.backbone.features(tokens, appended, prompts, encoder.pooling);
        l2_normalize(head.forward(pooled))
    }

    /// # Shapes
    /// pixels `[B, 3, H, W]` to unit rows `[B, E]`
    fn encode_fixed(&self, head: &EmbeddingHead, encoder: &Encoder, pixels: Tensor<4>) -> Tensor<2> {
        let backbone = self.fixed.as_deref().unwrap_or(&encoder.backbone);
        let backbone = VisionTransformer { compute: encoder.backbone.compute, ..backbone.clone() };
        let tokens = backbone.embed(pixels);
        l2_normalize(head.forward(backbone.features(tokens, 0, Vec::new(), encoder.pooling)))
    }
}

/// Whether the second pass sees the encoder's visual prompts.
fn uses_encoder_prompts(config: &ProxyConfig) -> bool {
    config.source == ProxySource::SameEncoder || config.tower_prompts == TowerPrompts::Encoder
}

/// A backbone without what a fine-tuning attached; its tensors share their memory with the original.
fn bare(backbone: &VisionTransformer) -> VisionTransformer {
    let mut bare = backbone.clone();
    for block in &mut bare.blocks {
        block.adapter = None;
        for layer in block.layers_mut() {
            (layer.lora, layer.ssf, layer.bias_offset) = (None, None, None);
        }
        (block.norm1.ssf, block.norm2.ssf) = (None, None);
    }
    bare.norm.ssf = None;
    bare.patch_embed.proj.ssf = None;
    set_trainable(bare, |_| false)
}

/// Both lists of prompts, block by block.
fn join_prompts(
    visual: Vec<Option<PromptRows>>,
    of_class: Vec<Option<PromptRows>>,
    batch: usize,
) -> Vec<Option<PromptRows>> {
    let blocks = visual.len().max(of_class.len());
    let mut visual = visual.into_iter();
    let mut of_class = of_class.into_iter();
    (0..blocks)
        .map(|_| match (visual.next().flatten(), of_class.next().flatten()) {
            (Some(a), Some(b)) => {
                Some(PromptRows::PerImage(Tensor::cat(vec![a.for_batch(batch), b.for_batch(batch)], 1)))
            }
            (a, b) => a.or(b),
        })
        .collect()
}

fn index_tensor(rows: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let values: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    Tensor::from_data(TensorData::new(values, [rows.len()]), &like.device())
}

/// Asks another source under a prefix.
struct Prefixed<'a, S> {
    prefix: &'static str,
    inner: &'a mut S,
}

impl<S: ParameterSource> ParameterSource for Prefixed<'_, S> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.inner.values(&format!("{}{name}", self.prefix), shape)
    }

    fn device(&self) -> &burn::tensor::Device {
        self.inner.device()
    }
}

/// Prompt tables around tensors that already exist, as a memory bank gives them.
pub(crate) fn tables_from_tensors(
    tables: Vec<Tensor<3>>,
    schedule: kinsight_model::prompts::PromptSchedule,
) -> PromptTables {
    let tables = tables.into_iter().map(|tensor| Param::initialized(ParamId::new(), tensor)).collect();
    PromptTables { tables, schedule }
}
