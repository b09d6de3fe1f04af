//! A block's weights packed for one call, once for many, or taken from a cache.

use std::borrow::Cow;
use std::sync::Arc;

use super::params::{BlockDims, BlockParams};
use super::side::Sides;
use super::tensors::BlockTensor;
use super::weight_cache::{Cached, Slot, WeightCache, packed};
use crate::cpu::Cpu;
use crate::element::Element;
use crate::gemm::Packed;

/// Which products a forward will compute; weights of the others are not packed.
#[derive(Clone, Copy)]
pub(crate) struct Uses {
    /// Queries, keys and values.
    pub forward: bool,
    pub fc1: bool,
    pub proj: bool,
    pub fc2: bool,
}

impl Uses {
    pub(crate) const ALL: Self = Self { forward: true, fc1: true, proj: true, fc2: true };
}

/// The large right operands of the forward's products `x W^T`. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Matrices<E> {
    pub q: Arc<Packed<E>>,
    pub kv: Arc<Packed<E>>,
    pub proj: Arc<Packed<E>>,
    pub fc1: Arc<Packed<E>>,
    pub fc2: Arc<Packed<E>>,
}

impl<E: Cached> Matrices<E> {
    /// Packs qkv, proj, fc1 and fc2, or takes them from `cache`.
    pub(crate) fn new(
        cpu: Cpu,
        [width, hidden]: [usize; 2],
        [qkv, proj, fc1, fc2]: [&[f32]; 4],
        uses: Uses,
        cache: Option<&WeightCache>,
    ) -> Self {
        let pack = |used: bool, slot: Slot, weight: &[f32], input: usize, output: usize| match used {
            true => packed(cache, slot, || Packed::transposed_weight(cpu, weight, input, output)),
            false => Arc::new(Packed::new(cpu, 0, 0)),
        };
        let (q, kv) = qkv.split_at(width * width);
        Self {
            q: pack(uses.forward, Slot::Queries, q, width, width),
            kv: pack(uses.forward, Slot::KeysValues, kv, width, 2 * width),
            proj: pack(uses.proj, Slot::Proj, proj, width, width),
            fc1: pack(uses.fc1, Slot::Fc1, fc1, width, hidden),
            fc2: pack(uses.fc2, Slot::Fc2, fc2, hidden, width),
        }
    }
}

/// Right operands of the forward's products, and the biases.
pub(crate) struct ForwardWeights<'a, E> {
    pub matrices: Matrices<E>,
    /// `[3D]`; zeros where the layer has none, as the others.
    pub qkv_bias: Cow<'a, [f32]>,
    pub proj_bias: Cow<'a, [f32]>,
    pub fc1_bias: Cow<'a, [f32]>,
    pub fc2_bias: Cow<'a, [f32]>,
    pub adapter: Option<AdapterForwardWeights<'a, E>>,
    pub sides: Sides<'a, E>,
}

/// The same of an adapter.
pub(crate) struct AdapterForwardWeights<'a, E> {
    pub down: Packed<E>,
    pub up: Packed<E>,
    pub down_bias: Cow<'a, [f32]>,
    pub up_bias: Cow<'a, [f32]>,
}

impl<'a, E: Element> ForwardWeights<'a, E> {
    /// `matrices` with the biases and the adapter of `params`.
    pub(crate) fn new(
        cpu: Cpu,
        dims: &BlockDims,
        params: &BlockParams<'a>,
        matrices: Matrices<E>,
        sides: Sides<'a, E>,
    ) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let adapter = params.adapter().map(|adapter| {
            let (down, up) = (params.of(BlockTensor::DownWeight), params.of(BlockTensor::UpWeight));
            AdapterForwardWeights {
                down: Packed::transposed_weight(cpu, down, width, adapter.bottleneck),
                up: Packed::transposed_weight(cpu, up, adapter.bottleneck, width),
                down_bias: params.bias(BlockTensor::DownBias, adapter.bottleneck),
                up_bias: params.bias(BlockTensor::UpBias, width),
            }
        });
        Self {
            matrices,
            qkv_bias: params.bias(BlockTensor::QkvBias, 3 * width),
            proj_bias: params.bias(BlockTensor::ProjBias, width),
            fc1_bias: params.bias(BlockTensor::Fc1Bias, hidden),
            fc2_bias: params.bias(BlockTensor::Fc2Bias, width),
            adapter,
            sides,
        }
    }
}

/// Right operands of the backward's products `dY W`, each only where something needs it.
pub(crate) struct BackwardWeights<E> {
    pub fc2: Arc<Packed<E>>,
    pub fc1: Arc<Packed<E>>,
    /// Present where anything at or before the attention needs a gradient.
    pub attention: Option<AttentionBackwardWeights<E>>,
    pub adapter: Option<AdapterBackwardWeights<E>>,
}

pub(crate) struct AttentionBackwardWeights<E> {
    pub proj: Arc<Packed<E>>,
    pub q: Arc<Packed<E>>,
    pub kv: Arc<Packed<E>>,
}

pub(crate) struct AdapterBackwardWeights<E> {
    pub down: Packed<E>,
    pub up: Packed<E>,
}

impl<E: Cached> BackwardWeights<E> {
    pub(crate) fn new(cpu: Cpu, dims: &BlockDims, params: &BlockParams<'_>, attention: bool) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        // f32 rows are packed by copying them, which costs less time than another copy of the weights is worth memory.
        let cache = params.cache.filter(|_| E::PAIRS);
        let pack = |slot: Slot, weight: &[f32], input: usize, output: usize| {
            packed(cache, slot, || Packed::weight(cpu, weight, output, input))
        };
        let attention = attention.then(|| {
            let (q, kv) = params.of(BlockTensor::QkvWeight).split_at(width * width);
            AttentionBackwardWeights {
                proj: pack(Slot::ProjBackward, params.of(BlockTensor::ProjWeight), width, width),
                q: pack(Slot::QueriesBackward, q, width, width),
                kv: pack(Slot::KeysValuesBackward, kv, width, 2 * width),
            }
        });
        let adapter = params.adapter().map(|adapter| AdapterBackwardWeights {
            down: Packed::weight(cpu, params.of(BlockTensor::DownWeight), adapter.bottleneck, width),
            up: Packed::weight(cpu, params.of(BlockTensor::UpWeight), width, adapter.bottleneck),
        });
        Self {
            fc2: pack(Slot::Fc2Backward, params.of(BlockTensor::Fc2Weight), hidden, width),
            fc1: pack(Slot::Fc1Backward, params.of(BlockTensor::Fc1Weight), width, hidden),
            attention,
            adapter,
        }
    }
}
