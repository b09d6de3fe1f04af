//! A block's weights packed for one call, once for many, or taken from a cache.

use std::borrow::Cow;
use std::sync::Arc;

use super::params::{BlockDims, BlockParams};
use super::side::{LayerVariant, Sides};
use super::weight_cache::{Cached, Slot, WeightCache, packed};
use crate::cpu::Cpu;
use crate::element::Element;
use crate::gemm::Packed;
use crate::linear::LinearParams;

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

/// The large right operands of the forward's products `x W^T`.
pub(crate) struct Matrices<E> {
    q: Arc<Packed<E>>,
    kv: Arc<Packed<E>>,
    proj: Arc<Packed<E>>,
    fc1: Arc<Packed<E>>,
    fc2: Arc<Packed<E>>,
}

impl<E: Element> Matrices<E> {
    /// Packs qkv, proj, fc1 and fc2.
    pub(crate) fn packed(cpu: Cpu, width: usize, hidden: usize, params: &[LinearParams<'_>; 4]) -> Self {
        let [qkv, proj, fc1, fc2] = params;
        let pack = |weight: &[f32], input, output| Arc::new(Packed::transposed_weight(cpu, weight, input, output));
        let qkv = qkv.effective_weight(width, 3 * width);
        let (q, kv) = qkv.split_at(width * width);
        Self {
            q: pack(q, width, width),
            kv: pack(kv, width, 2 * width),
            proj: pack(&proj.effective_weight(width, width), width, width),
            fc1: pack(&fc1.effective_weight(width, hidden), width, hidden),
            fc2: pack(&fc2.effective_weight(hidden, width), hidden, width),
        }
    }
}

/// Right operands of the forward's products `x W^T`, and the biases.
pub(crate) struct ForwardWeights<'a, E> {
    pub q: Arc<Packed<E>>,
    pub kv: Arc<Packed<E>>,
    pub proj: Arc<Packed<E>>,
    pub fc1: Arc<Packed<E>>,
    pub fc2: Arc<Packed<E>>,
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

impl<'a, E: Cached> ForwardWeights<'a, E> {
    pub(crate) fn new(cpu: Cpu, dims: &BlockDims, params: &BlockParams<'a>, uses: Uses) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let nothing = || Arc::new(Packed::new(cpu, 0, 0));
        let pack = |used: bool, slot: Slot, params: &LinearParams<'_>, cache, input: usize, output: usize| {
            if !used {
                return nothing();
            }
            packed(cacheable(params, cache), slot, || {
                Packed::transposed_weight(cpu, &params.effective_weight(input, output), input, output)
            })
        };
        let cache = params.cache;
        let (q, kv) = if uses.forward {
            let qkv = params.qkv.effective_weight(width, 3 * width);
            let (q, kv) = qkv.split_at(width * width);
            let cache = cacheable(&params.qkv, cache);
            (
                packed(cache, Slot::Queries, || Packed::transposed_weight(cpu, q, width, width)),
                packed(cache, Slot::KeysValues, || Packed::transposed_weight(cpu, kv, width, 2 * width)),
            )
        } else {
            (nothing(), nothing())
        };
        Self {
            q,
            kv,
            proj: pack(uses.proj, Slot::Proj, &params.proj, cache, width, width),
            fc1: pack(uses.fc1, Slot::Fc1, &params.fc1, cache, width, hidden),
            fc2: pack(uses.fc2, Slot::Fc2, &params.fc2, cache, hidden, width),
            qkv_bias: params.qkv.bias_or_zeros(3 * width),
            proj_bias: params.proj.bias_or_zeros(width),
            fc1_bias: params.fc1.bias_or_zeros(hidden),
            fc2_bias: params.fc2.bias_or_zeros(width),
            adapter: AdapterForwardWeights::new(cpu, dims, params),
            sides: Sides::NONE,
        }
    }

    /// Matrices that are packed already, the biases and adapter of `params`, and what `layers` has beside the matrices.
    pub(crate) fn sharing(
        cpu: Cpu,
        dims: &BlockDims,
        params: &BlockParams<'a>,
        layers: [LayerVariant<'a>; 4],
        matrices: &Matrices<E>,
    ) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let Matrices { q, kv, proj, fc1, fc2 } = matrices;
        Self {
            q: q.clone(),
            kv: kv.clone(),
            proj: proj.clone(),
            fc1: fc1.clone(),
            fc2: fc2.clone(),
            qkv_bias: params.qkv.bias_or_zeros(3 * width),
            proj_bias: params.proj.bias_or_zeros(width),
            fc1_bias: params.fc1.bias_or_zeros(hidden),
            fc2_bias: params.fc2.bias_or_zeros(width),
            adapter: AdapterForwardWeights::new(cpu, dims, params),
            sides: Sides::new(cpu, width, hidden, layers),
        }
    }
}

impl<'a, E: Element> AdapterForwardWeights<'a, E> {
    pub(crate) fn new(cpu: Cpu, dims: &BlockDims, params: &BlockParams<'a>) -> Option<Self> {
        let adapter = params.adapter?;
        let (width, bottleneck) = (dims.width, adapter.bottleneck);
        let down = adapter.down.effective_weight(width, bottleneck);
        let up = adapter.up.effective_weight(bottleneck, width);
        Some(Self {
            down: Packed::transposed_weight(cpu, &down, width, bottleneck),
            up: Packed::transposed_weight(cpu, &up, bottleneck, width),
            down_bias: adapter.down.bias_or_zeros(bottleneck),
            up_bias: adapter.up.bias_or_zeros(width),
        })
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
        let pack = |slot: Slot, params: &LinearParams<'_>, input: usize, output: usize| {
            packed(cacheable(params, cache), slot, || {
                Packed::weight(cpu, &params.effective_weight(input, output), output, input)
            })
        };
        let attention = attention.then(|| {
            let qkv = params.qkv.effective_weight(width, 3 * width);
            let (q, kv) = qkv.split_at(width * width);
            let cache = cacheable(&params.qkv, cache);
            AttentionBackwardWeights {
                proj: pack(Slot::ProjBackward, &params.proj, width, width),
                q: packed(cache, Slot::QueriesBackward, || Packed::weight(cpu, q, width, width)),
                kv: packed(cache, Slot::KeysValuesBackward, || Packed::weight(cpu, kv, 2 * width, width)),
            }
        });
        let adapter = params.adapter.map(|adapter| {
            let bottleneck = adapter.bottleneck;
            let down = adapter.down.effective_weight(width, bottleneck);
            let up = adapter.up.effective_weight(bottleneck, width);
            let pack = Packed::weight;
            AdapterBackwardWeights { down: pack(cpu, &down, bottleneck, width), up: pack(cpu, &up, width, bottleneck) }
        });
        Self {
            fc2: pack(Slot::Fc2Backward, &params.fc2, hidden, width),
            fc1: pack(Slot::Fc1Backward, &params.fc1, width, hidden),
            attention,
            adapter,
        }
    }
}

/// The cache, unless a low-rank addition makes the weight another one after every step.
fn cacheable<'a>(params: &LinearParams<'_>, cache: Option<&'a WeightCache>) -> Option<&'a WeightCache> {
    cache.filter(|_| params.lora.is_none())
}
