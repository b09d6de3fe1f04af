//! A block's weights packed for one call.

use std::borrow::Cow;

use super::params::{BlockDims, BlockParams};
use crate::cpu::Cpu;
use crate::element::Element;
use crate::gemm::Packed;
use crate::linear::LinearParams;

/// Which products a forward will compute; weights of the others are not packed.
#[derive(Clone, Copy)]
pub(crate) struct Uses {
    /// Queries, keys, values and the MLP's first layer.
    pub forward: bool,
    pub proj: bool,
    pub fc2: bool,
}

impl Uses {
    pub(crate) const ALL: Self = Self { forward: true, proj: true, fc2: true };
}

/// Right operands of the forward's products `x W^T`, and the biases.
pub(crate) struct ForwardWeights<'a, E> {
    pub q: Packed<E>,
    pub kv: Packed<E>,
    pub proj: Packed<E>,
    pub fc1: Packed<E>,
    pub fc2: Packed<E>,
    /// `[3D]`; zeros where the layer has none, as the others.
    pub qkv_bias: Cow<'a, [f32]>,
    pub proj_bias: Cow<'a, [f32]>,
    pub fc1_bias: Cow<'a, [f32]>,
    pub fc2_bias: Cow<'a, [f32]>,
    pub adapter: Option<AdapterForwardWeights<'a, E>>,
}

/// The same of an adapter.
pub(crate) struct AdapterForwardWeights<'a, E> {
    pub down: Packed<E>,
    pub up: Packed<E>,
    pub down_bias: Cow<'a, [f32]>,
    pub up_bias: Cow<'a, [f32]>,
}

impl<'a, E: Element> ForwardWeights<'a, E> {
    pub(crate) fn new(cpu: Cpu, dims: &BlockDims, params: &BlockParams<'a>, uses: Uses) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let nothing = || Packed::new(cpu, 0, 0);
        let pack = |used: bool, params: &LinearParams<'_>, input: usize, output: usize| {
            if !used {
                return nothing();
            }
            let weight = params.effective_weight(input, output);
            Packed::transposed_weight(cpu, &weight, input, output)
        };
        let (q, kv) = if uses.forward {
            let qkv = params.qkv.effective_weight(width, 3 * width);
            let (q, kv) = qkv.split_at(width * width);
            let pack = Packed::transposed_weight;
            (pack(cpu, q, width, width), pack(cpu, kv, width, 2 * width))
        } else {
            (nothing(), nothing())
        };
        Self {
            q,
            kv,
            proj: pack(uses.proj, &params.proj, width, width),
            fc1: pack(uses.forward, &params.fc1, width, hidden),
            fc2: pack(uses.fc2, &params.fc2, hidden, width),
            qkv_bias: params.qkv.bias_or_zeros(3 * width),
            proj_bias: params.proj.bias_or_zeros(width),
            fc1_bias: params.fc1.bias_or_zeros(hidden),
            fc2_bias: params.fc2.bias_or_zeros(width),
            adapter: AdapterForwardWeights::new(cpu, dims, params),
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
    pub fc2: Packed<E>,
    pub fc1: Packed<E>,
    /// Present where anything at or before the attention needs a gradient.
    pub attention: Option<AttentionBackwardWeights<E>>,
    pub adapter: Option<AdapterBackwardWeights<E>>,
}

pub(crate) struct AttentionBackwardWeights<E> {
    pub proj: Packed<E>,
    pub q: Packed<E>,
    pub kv: Packed<E>,
}

pub(crate) struct AdapterBackwardWeights<E> {
    pub down: Packed<E>,
    pub up: Packed<E>,
}

impl<E: Element> BackwardWeights<E> {
    pub(crate) fn new(cpu: Cpu, dims: &BlockDims, params: &BlockParams<'_>, attention: bool) -> Self {
        let (width, hidden) = (dims.width, dims.hidden);
        let pack = Packed::weight;
        let fc1 = params.fc1.effective_weight(width, hidden);
        let fc2 = params.fc2.effective_weight(hidden, width);
        let attention = attention.then(|| {
            let qkv = params.qkv.effective_weight(width, 3 * width);
            let (q, kv) = qkv.split_at(width * width);
            let proj = params.proj.effective_weight(width, width);
            AttentionBackwardWeights {
                proj: pack(cpu, &proj, width, width),
                q: pack(cpu, q, width, width),
                kv: pack(cpu, kv, 2 * width, width),
            }
        });
        let adapter = params.adapter.map(|adapter| {
            let bottleneck = adapter.bottleneck;
            let down = adapter.down.effective_weight(width, bottleneck);
            let up = adapter.up.effective_weight(bottleneck, width);
            AdapterBackwardWeights { down: pack(cpu, &down, bottleneck, width), up: pack(cpu, &up, width, bottleneck) }
        });
        Self { fc2: pack(cpu, &fc2, width, hidden), fc1: pack(cpu, &fc1, hidden, width), attention, adapter }
    }
}
