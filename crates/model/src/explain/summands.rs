//! A vector written as a sum, and the steps of a transformer that keep the sum.
//!
//! Every step is affine once the numbers that depend on the whole vector (a LayerNorm's deviation, an activation's gate)
//! are taken from the whole vector. The linear part acts on each summand, constants go to the last one.

use burn::tensor::{Tensor, activation};

use crate::vit::adapter::{Adapter, AdapterNorm, AdapterPlacement};
use crate::vit::{Attention, Block, LayerNorm, LayerScale, Linear, Mlp};

/// `[R, D]`: R summands of one vector of width D; the last summand takes what is constant.
#[derive(Clone)]
pub(super) struct Summands(pub Tensor<2>);

impl Summands {
    /// The vector itself, `[1, D]`.
    pub fn total(&self) -> Tensor<2> {
        self.0.clone().sum_dim(0)
    }

    /// LayerNorm: `(x - mean x) / deviation * weight + bias`, the deviation that of the whole vector.
    pub fn norm(self, norm: &LayerNorm) -> Self {
        let total = self.total();
        let deviation = (centered(total).square().mean_dim(1) + norm.eps).sqrt(); // [1, 1]
        Self(centered(self.0) / deviation * norm.weight.val().unsqueeze::<2>()).plus_constant(norm.bias.val())
    }

    /// `W x + b`
    pub fn linear(self, layer: &Linear) -> Self {
        let product = Self(self.0.matmul(layer.weight.val().transpose()));
        match &layer.bias {
            None => product,
            Some(bias) => product.plus_constant(bias.val()),
        }
    }

    /// The branch of a feed-forward half: `act(x) = x * gate(x)`, or gated, `silu(a) * b`.
    pub fn mlp(self, mlp: &Mlp) -> Self {
        let hidden = self.linear(&mlp.fc1);
        let total = hidden.total();
        if mlp.gated {
            let half = total.dims()[1] / 2;
            let gate = activation::silu(total.narrow(1, 0, half));
            return Self(hidden.0.narrow(1, half, half) * gate).linear(&mlp.fc2);
        }
        // All activations have a gate of a half at zero, where the quotient is not defined.
        let tiny = total.clone().abs().lower_elem(1e-3);
        let quotient = mlp.activation.forward(total.clone()) / total.mask_fill(tiny.clone(), 1.0);
        Self(hidden.0 * quotient.mask_fill(tiny, 0.5)).linear(&mlp.fc2)
    }

    /// `x + ls2(mlp(norm2(x)))` with the adapter, if there is one.
    pub fn feed_forward(self, block: &Block) -> Self {
        let branch = self.clone().norm(&block.norm2).mlp(&block.mlp).layer_scale(&block.ls2);
        match &block.adapter {
            None => self.plus(branch),
            Some(adapter) => match adapter.placement {
                AdapterPlacement::Parallel => self.clone().plus(branch).plus(self.adapter(adapter)),
                AdapterPlacement::Sequential => self.plus(branch.clone()).plus(branch.adapter(adapter)),
            },
        }
    }

    fn adapter(self, adapter: &Adapter) -> Self {
        let bottleneck = |x: Self| {
            let down = x.linear(&adapter.down_proj);
            let gate = down.total().greater_elem(0.0).float();
            Self(down.0 * gate).linear(&adapter.up_proj)
        };
        match adapter.norm {
            AdapterNorm::Pre => bottleneck(self.norm(&adapter.adapter_ln)),
            AdapterNorm::Post => bottleneck(self).norm(&adapter.adapter_ln),
        }
    }

    /// What a token reads from itself: values without their constant part, weighted by its attention to itself.
    ///
    /// # Shapes
    /// `weights` `[H]`; the input is the token before `norm1`
    pub fn attended(self, block: &Block, weights: Tensor<1>) -> Self {
        let norm = &block.norm1;
        let deviation = (centered(self.total()).square().mean_dim(1) + norm.eps).sqrt();
        let normed = centered(self.0) / deviation * norm.weight.val().unsqueeze::<2>();
        let values = normed.matmul(value_weight(&block.attn).transpose()); // [R, D]
        Self(project(&block.attn.proj, weigh(values, weights))).layer_scale(&block.ls1)
    }

    /// Learned scale of a residual branch.
    pub fn layer_scale(self, scale: &Option<LayerScale>) -> Self {
        match scale {
            None => self,
            Some(scale) => Self(self.0 * scale.gamma.val().unsqueeze::<2>()),
        }
    }

    /// Adds two sums summand by summand.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Adds `[D]` to the last summand.
    pub fn plus_constant(self, constant: Tensor<1>) -> Self {
        let last = self.0.dims()[0] - 1;
        if last == 0 {
            return Self(self.0 + constant.unsqueeze::<2>());
        }
        let rows = self.0.clone().narrow(0, 0, last);
        Self(Tensor::cat(vec![rows, self.0.narrow(0, last, 1) + constant.unsqueeze::<2>()], 0))
    }
}

/// The rows `[D, D]` of the qkv projection that make values.
fn value_weight(attention: &Attention) -> Tensor<2> {
    last_rows(&attention.qkv)
}

/// The part of every value that does not depend on the token, `[1, D]`: `W_v b_norm + b_v`. `projection` makes values
/// with its last D rows, `norm` stands before it.
pub(super) fn constant_value(norm: &LayerNorm, projection: &Linear) -> Tensor<2> {
    let [rows, width] = projection.weight.dims();
    let value = norm.bias.val().unsqueeze::<2>().matmul(last_rows(projection).transpose());
    match &projection.bias {
        None => value,
        Some(bias) => value + bias.val().narrow(0, rows - width, width).unsqueeze::<2>(),
    }
}

fn last_rows(projection: &Linear) -> Tensor<2> {
    let [rows, width] = projection.weight.dims();
    projection.weight.val().narrow(0, rows - width, width)
}

/// `W x` without the bias of `layer`.
pub(super) fn project(layer: &Linear, mixed: Tensor<2>) -> Tensor<2> {
    mixed.matmul(layer.weight.val().transpose())
}

/// What comes out of each token: its value without the constant part, weighted, projected.
///
/// # Shapes
/// `weights` `[H, N]`, `values` `[H, N, D/H]`, `constant` `[1, D]`; the result is `[N, D]`
pub(super) fn outputs(weights: Tensor<2>, values: Tensor<3>, constant: Tensor<2>, layer: &Linear) -> Tensor<2> {
    let [heads, count, head_dim] = values.dims();
    let weighed = (values - constant.reshape([heads, 1, head_dim])) * weights.unsqueeze_dim::<3>(2);
    project(layer, weighed.swap_dims(0, 1).reshape([count, heads * head_dim]))
}

/// Multiplies each head's share of `[R, D]` by that head's weight.
fn weigh(values: Tensor<2>, weights: Tensor<1>) -> Tensor<2> {
    let [rows, width] = values.dims();
    let heads = weights.dims()[0];
    let weighted = values.reshape([rows, heads, width / heads]) * weights.reshape([1, heads, 1]);
    weighted.reshape([rows, width])
}

fn centered(rows: Tensor<2>) -> Tensor<2> {
    let mean = rows.clone().mean_dim(1);
    rows - mean
}
