//! A dense layer that keeps its weight as PyTorch does, so that checkpoints load without a transposition.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use super::lora::Lora;
use super::scale_shift::ScaleShift;
use crate::parameters::ParameterSource;

/// `y = x Wᵀ + b`; the counterpart of `torch.nn.Linear`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// Low-rank update of the weight.
    pub lora: Option<Lora>,
    /// Scale and shift of the output.
    pub ssf: Option<ScaleShift>,
    /// What is added to a part of the bias, when the rest of it must stay as it is.
    pub bias_offset: Option<BiasOffset>,
}

/// Trained additions to some of the equal parts of a bias: the query part of a fused qkv bias, without the others.
#[derive(Module, Debug)]
pub struct BiasOffset {
    /// The parts that train, one after the other.
    pub value: Param<Tensor<1>>,
    /// Which of the equal parts of the bias they are.
    #[module(skip)]
    pub parts: Vec<bool>,
}

impl BiasOffset {
    /// Reads `name.value`; the bias has `size` numbers in `parts.len()` equal parts.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, size: usize, parts: &[bool]) -> Self {
        let trained = parts.iter().filter(|trains| **trains).count();
        let length = size / parts.len() * trained;
        Self { value: source.parameter(&format!("{name}.value"), [length]), parts: parts.to_vec() }
    }

    fn spread(&self) -> Tensor<1> {
        let value = self.value.val();
        let trained = self.parts.iter().filter(|trains| **trains).count();
        let size = value.dims()[0] / trained.max(1);
        let mut next = 0;
        let part = |trains: &bool| {
            if !trains {
                return Tensor::zeros([size], &value.device());
            }
            next += 1;
            value.clone().narrow(0, (next - 1) * size, size)
        };
        Tensor::cat(self.parts.iter().map(part).collect(), 0)
    }
}

impl Linear {
    /// Reads `name.weight` and, if `bias`, `name.bias`.
    pub fn from_source(source: &mut impl ParameterSource, name: &str, input: usize, output: usize, bias: bool) -> Self {
        Self {
            weight: source.parameter(&format!("{name}.weight"), [output, input]),
            bias: bias.then(|| source.parameter(&format!("{name}.bias"), [output])),
            lora: None,
            ssf: None,
            bias_offset: None,
        }
    }

    /// Weight and bias with everything that is attached to the layer folded in.
    ///
    /// # Shapes
    /// `[out, in]` and `[out]`
    pub fn folded(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        (self.folded_weight(), self.folded_bias())
    }

    /// `[out, in]`
    pub(crate) fn folded_weight(&self) -> Tensor<2> {
        let weight = match &self.lora {
            Some(lora) if !lora.drops() => lora.apply(self.weight.val()),
            _ => self.weight.val(),
        };
        match &self.ssf {
            None => weight,
            Some(ssf) => ssf.scale_rows(weight),
        }
    }

    /// What makes the folded weight of one that is shared with others: `diag(row_scale) (W + low_rank)`, with `[out]` row
    /// scales.
    pub(crate) fn side(&self) -> (Option<&Lora>, Option<Tensor<1>>) {
        let length_scale = self.lora.as_ref().and_then(|lora| lora.row_scale(self.weight.val()));
        let scale = self.ssf.as_ref().map(|ssf| ssf.scale.val());
        let row_scale = match (length_scale, scale) {
            (Some(length), Some(scale)) => Some(length * scale),
            (length, scale) => length.or(scale),
        };
        (self.lora.as_ref(), row_scale)
    }

    /// `[out]`
    pub(crate) fn folded_bias(&self) -> Option<Tensor<1>> {
        let bias = match (&self.bias, &self.bias_offset) {
            (Some(bias), Some(offset)) => Some(bias.val() + offset.spread()),
            (bias, _) => bias.as_ref().map(|bias| bias.val()),
        };
        match &self.ssf {
            None => bias,
            Some(ssf) => Some(ssf.shift_bias(bias)),
        }
    }

    /// Whether a part of the layer is not a weight, so that only [`Self::forward`] computes it.
    pub fn needs_composed(&self) -> bool {
        self.lora.as_ref().is_some_and(Lora::drops)
    }

    /// Applies the layer to the last dimension.
    ///
    /// # Shapes
    /// `[.., in]` to `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = self.folded();
        let dropping = self.lora.as_ref().filter(|lora| lora.drops()).map(|lora| {
            let update = lora.forward_dropping(x.clone());
            match &self.ssf {
                None => update,
                Some(ssf) => update * ssf.scale.val().unsqueeze(),
            }
        });
        let y = module::linear(x, weight.transpose(), bias);
        match dropping {
            None => y,
            Some(update) => y + update,
        }
    }
}
