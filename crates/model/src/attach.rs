//! Attaching LoRA, SSF and offsets of single bias parts to the layers of a backbone.
//!
//! A backbone is built bare, from its checkpoint; what a fine-tuning adds to its layers is put on afterwards, under names
//! below those of the layers: `blocks.3.attn.qkv.lora.a`, `norm.ssf.scale`, `blocks.0.attn.qkv.bias_offset.value`.

use burn::module::{Param, ParamId};
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use crate::parameters::{ParameterSource, uniform_values};
use crate::tuning::{BiasPart, Tuning};
use crate::vit::lora::{Lora, LoraConfig, LoraTarget};
use crate::vit::{BiasOffset, LayerNorm, Linear, ScaleShift, VisionTransformer};

/// Puts what `tuning` declares onto `backbone`; `prefix` as for the backbone's own parameters.
pub(crate) fn attach(
    backbone: &mut VisionTransformer,
    source: &mut impl ParameterSource,
    prefix: &str,
    tuning: &Tuning,
) {
    for (i, block) in backbone.blocks.iter_mut().enumerate() {
        let at = |layer: &str| format!("{prefix}blocks.{i}.{layer}");
        let names = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"];
        let targets = [LoraTarget::Qkv, LoraTarget::Proj, LoraTarget::Mlp, LoraTarget::Mlp];
        for ((layer, name), target) in block.layers_mut().into_iter().zip(names).zip(targets) {
            if let Some(lora) = tuning.lora.as_ref().filter(|lora| lora.targets.contains(&target)) {
                attach_lora(layer, source, &at(name), lora);
            }
            if tuning.ssf {
                let [output, _] = layer.weight.dims();
                layer.ssf = Some(ScaleShift::from_source(source, &format!("{}.ssf", at(name)), output));
            }
        }
        if tuning.ssf {
            scale_norm(&mut block.norm1, source, &at("norm1"));
            scale_norm(&mut block.norm2, source, &at("norm2"));
        }
        if let Some(parts) = tuning.split_qkv_bias().filter(|_| block.attn.qkv.bias.is_some()) {
            attach_bias_offset(&mut block.attn.qkv, source, &at("attn.qkv"), &parts);
        }
    }
    if tuning.ssf {
        scale_norm(&mut backbone.norm, source, &format!("{prefix}norm"));
        let width = backbone.config.width;
        let name = format!("{prefix}patch_embed.proj.ssf");
        backbone.patch_embed.proj.ssf = Some(ScaleShift::from_source(source, &name, width));
    }
}

/// The backbone with everything that `attach` put on its layers folded into their weights and biases.
pub fn fold(backbone: &VisionTransformer) -> VisionTransformer {
    let mut folded = backbone.clone();
    for block in &mut folded.blocks {
        block.layers_mut().into_iter().for_each(fold_linear);
        fold_norm(&mut block.norm1);
        fold_norm(&mut block.norm2);
    }
    fold_norm(&mut folded.norm);
    let patches = &mut folded.patch_embed.proj;
    if let Some(ssf) = patches.ssf.take() {
        let [features, channels, rows, columns] = patches.weight.dims();
        let kernel = ssf.scale_rows(patches.weight.val().reshape([features, channels * rows * columns]));
        patches.weight = parameter(kernel.reshape([features, channels, rows, columns]));
        patches.bias = Some(parameter(ssf.shift_bias(patches.bias.as_ref().map(|bias| bias.val()))));
    }
    folded
}

fn fold_linear(layer: &mut Linear) {
    let (weight, bias) = layer.folded();
    (layer.lora, layer.ssf, layer.bias_offset) = (None, None, None);
    layer.weight = parameter(weight);
    layer.bias = bias.map(parameter);
}

fn fold_norm(norm: &mut LayerNorm) {
    let (weight, bias) = norm.folded();
    norm.ssf = None;
    (norm.weight, norm.bias) = (parameter(weight), parameter(bias));
}

fn parameter<const R: usize>(tensor: Tensor<R>) -> Param<Tensor<R>> {
    Param::initialized(ParamId::new(), tensor)
}

fn attach_lora(layer: &mut Linear, source: &mut impl ParameterSource, name: &str, config: &LoraConfig) {
    let [output, input] = layer.weight.dims();
    layer.lora = Some(Lora::from_source(source, &format!("{name}.lora"), input, output, config));
}

fn scale_norm(norm: &mut LayerNorm, source: &mut impl ParameterSource, name: &str) {
    let [width] = norm.weight.dims();
    norm.ssf = Some(ScaleShift::from_source(source, &format!("{name}.ssf"), width));
}

fn attach_bias_offset(layer: &mut Linear, source: &mut impl ParameterSource, name: &str, parts: &[bool; 3]) {
    let [output, _] = layer.weight.dims();
    layer.bias_offset = Some(BiasOffset::from_source(source, &format!("{name}.bias_offset"), output, parts));
}

/// The qkv parts among `parts` that train, unless all or none of them do.
pub(crate) fn split_qkv(parts: &[BiasPart]) -> Option<[bool; 3]> {
    let trained = [BiasPart::Q, BiasPart::K, BiasPart::V].map(|part| parts.contains(&part));
    (trained.contains(&true) && trained.contains(&false)).then_some(trained)
}

/// Whether the backbone's parameter `name` (without prefix) was attached by this module.
pub(crate) fn is_attached(name: &str) -> bool {
    [".lora.", ".ssf.", ".bias_offset."].iter().any(|part| name.contains(part))
}

/// The starting values of an attached parameter: layers start unchanged.
pub(crate) fn attached_values(name: &str, shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let count = shape.iter().product();
    match shape {
        // Kaiming uniform with a = sqrt(5), as LoRA's authors: bound 1 / sqrt(inputs).
        [_, input] if name.ends_with(".lora.a") => uniform_values(rng, count, (*input as f64).powf(-0.5)),
        _ if name.ends_with(".ssf.scale") => vec![1.0; count],
        _ => vec![0.0; count],
    }
}
