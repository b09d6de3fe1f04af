//! The groups that parameters train in, each with its learning rate.
//!
//! ```text
//! rate(block i of L) = base * decay^(L - i)      patches, tokens, positions: base * decay^(L + 1)
//! ```
//! What lies behind the blocks has the full rate (Bao et al., BEiT, 2022; the rule of its fine-tuning code), and so have
//! prompts, heads and the proxy tower. Learned proxies and what the loss itself learns have a rate of their own.
//!
//! The group of a parameter follows from the field that holds it, not from its name: a field that is added does not
//! compile until it has a group, and one that is renamed keeps its rate.

use burn::module::Module;
use burn::tensor::Tensor;
use kinsight_model::parameters::{MapByName, map_below};
use kinsight_model::{Encoder, VisionTransformer};

use super::LearningRates;
use crate::learner::{Learner, ProxyTower};

/// What a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The backbone with what is attached to it; `depth` is 0 before the blocks, 1 in the first of L blocks, L + 1 behind
    /// the last.
    Backbone {
        /// How far it is from the input.
        depth: usize,
    },
    /// Visual prompts of the encoder.
    Prompts,
    /// Embedding head of the encoder.
    Head,
    /// Class prompts, head and accumulator of the second pass.
    ProxyTower,
    /// Learned proxies.
    Proxies,
    /// What the loss itself learns.
    Loss,
}

impl Group {
    /// The learning rate of a learner with `blocks` blocks, whose rates fall by `decay` from block to block.
    pub fn rate(self, rates: LearningRates, decay: f64, blocks: usize) -> f64 {
        match self {
            Self::Backbone { depth } => rates.base * decay.powi((blocks + 1 - depth) as i32),
            Self::Prompts | Self::Head | Self::ProxyTower => rates.base,
            Self::Proxies | Self::Loss => rates.proxies,
        }
    }
}

/// A rewrite of parameters by group.
pub trait MapByGroup {
    /// The new tensor of parameter `name`, which belongs to `group`.
    fn map<const R: usize>(&mut self, name: &str, group: Group, tensor: Tensor<R>) -> Tensor<R>;
}

/// Applies `mapper` to every parameter of `learner`.
pub fn map_by_group(learner: Learner, mapper: &mut impl MapByGroup) -> Learner {
    let Learner { encoder, proxy_tower, proxies, loss_parameters, classes, da_vpt } = learner;
    let Encoder { backbone, prompts, head, pooling, shallow_prompts } = encoder;
    let mut walk = Walk(mapper);
    let backbone = map_backbone(backbone, &mut walk);
    let prompts = walk.map("encoder.prompts", Group::Prompts, prompts);
    let head = walk.map("encoder.head", Group::Head, head);
    Learner {
        encoder: Encoder { backbone, prompts, head, pooling, shallow_prompts },
        proxy_tower: walk.map::<Option<ProxyTower>>("proxy_tower", Group::ProxyTower, proxy_tower),
        proxies: walk.map("proxies", Group::Proxies, proxies),
        loss_parameters: walk.map("loss_parameters", Group::Loss, loss_parameters),
        classes,
        da_vpt,
    }
}

fn map_backbone<M: MapByGroup>(backbone: VisionTransformer, walk: &mut Walk<'_, M>) -> VisionTransformer {
    let VisionTransformer {
        patch_embed,
        cls_token,
        dist_token,
        reg_token,
        pos_embed,
        norm_pre,
        blocks,
        norm,
        attn_pool,
        config,
        compute,
    } = backbone;
    let (before, behind) = (Group::Backbone { depth: 0 }, Group::Backbone { depth: blocks.len() + 1 });
    let blocks = blocks.into_iter().enumerate();
    VisionTransformer {
        patch_embed: walk.map("encoder.backbone.patch_embed", before, patch_embed),
        cls_token: walk.map("encoder.backbone.cls_token", before, cls_token),
        dist_token: walk.map("encoder.backbone.dist_token", before, dist_token),
        reg_token: walk.map("encoder.backbone.reg_token", before, reg_token),
        pos_embed: walk.map("encoder.backbone.pos_embed", before, pos_embed),
        norm_pre: walk.map("encoder.backbone.norm_pre", before, norm_pre),
        blocks: blocks
            .map(|(i, block)| {
                walk.map(&format!("encoder.backbone.blocks.{i}"), Group::Backbone { depth: i + 1 }, block)
            })
            .collect(),
        norm: walk.map("encoder.backbone.norm", behind, norm),
        attn_pool: walk.map("encoder.backbone.attn_pool", behind, attn_pool),
        config,
        compute,
    }
}

struct Walk<'a, M>(&'a mut M);

impl<M: MapByGroup> Walk<'_, M> {
    /// Maps the parameters of `module`, which is called `name`.
    fn map<T: Module>(&mut self, name: &str, group: Group, module: T) -> T {
        struct InGroup<'a, M>(&'a mut M, Group);
        impl<M: MapByGroup> MapByName for InGroup<'_, M> {
            fn map<const R: usize>(&mut self, name: &str, tensor: Tensor<R>) -> Tensor<R> {
                self.0.map(name, self.1, tensor)
            }
        }
        map_below(name, module, &mut InGroup(self.0, group))
    }
}
