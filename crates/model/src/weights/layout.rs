//! How other libraries name the tensors of a vision transformer, and what each name is here.
//!
//! Kinsight's names are timm's. Every foreign layout is one table; a name is translated by its row, in both directions,
//! so that a checkpoint loads under its own names and a fine-tuned one can be written under them. The one thing a table
//! cannot say is that transformers keeps queries, keys and values apart: here they are called `attn.q`, `attn.k` and
//! `attn.v`, and [`super::BackboneSource`] puts them together.

use std::collections::BTreeMap;

use crate::vit::Activation;

/// Whose names a checkpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// timm's `VisionTransformer`, DINOv2's and DINOv3's original names and timm's `Eva` included where they differ.
    Timm,
    /// transformers: `ViTModel`, `DeiTModel`.
    HfVit,
    /// transformers: `Dinov2Model`, `Dinov2WithRegistersModel`.
    HfDinov2,
    /// transformers: `DINOv3ViTModel`.
    HfDinov3,
    /// transformers: `CLIPVisionModel`, or the image tower of `CLIPModel`.
    HfClip,
    /// transformers: `SiglipVisionModel`, or the image tower of `SiglipModel`.
    HfSiglip,
}

/// Our name with `{i}` for the block, and how the layout calls it: what its published files have first.
type Row = (&'static str, &'static [&'static str]);

const TIMM: &[Row] = &[
    ("reg_token", &["reg_token", "register_tokens", "storage_tokens"]),
    ("blocks.{i}.attn.q.bias", &["blocks.{i}.attn.q_bias"]),
    ("blocks.{i}.attn.v.bias", &["blocks.{i}.attn.v_bias"]),
    ("blocks.{i}.ls1.gamma", &["blocks.{i}.ls1.gamma", "blocks.{i}.gamma_1"]),
    ("blocks.{i}.ls2.gamma", &["blocks.{i}.ls2.gamma", "blocks.{i}.gamma_2"]),
    ("blocks.{i}.mlp.fc1.", &["blocks.{i}.mlp.fc1.", "blocks.{i}.mlp.w12.", "blocks.{i}.mlp.fc1_x."]),
    ("blocks.{i}.mlp.gate.", &["blocks.{i}.mlp.fc1_g."]),
    ("blocks.{i}.mlp.fc2.", &["blocks.{i}.mlp.fc2.", "blocks.{i}.mlp.w3."]),
];

const HF_VIT: &[Row] = &[
    ("cls_token", &["embeddings.cls_token"]),
    ("dist_token", &["embeddings.distillation_token"]),
    ("pos_embed", &["embeddings.position_embeddings"]),
    ("patch_embed.proj.", &["embeddings.patch_embeddings.projection."]),
    ("blocks.{i}.norm1.", &["encoder.layer.{i}.layernorm_before.", "layers.{i}.layernorm_before."]),
    ("blocks.{i}.norm2.", &["encoder.layer.{i}.layernorm_after.", "layers.{i}.layernorm_after."]),
    ("blocks.{i}.attn.q.", &["encoder.layer.{i}.attention.attention.query.", "layers.{i}.attention.q_proj."]),
    ("blocks.{i}.attn.k.", &["encoder.layer.{i}.attention.attention.key.", "layers.{i}.attention.k_proj."]),
    ("blocks.{i}.attn.v.", &["encoder.layer.{i}.attention.attention.value.", "layers.{i}.attention.v_proj."]),
    ("blocks.{i}.attn.proj.", &["encoder.layer.{i}.attention.output.dense.", "layers.{i}.attention.o_proj."]),
    ("blocks.{i}.mlp.fc1.", &["encoder.layer.{i}.intermediate.dense.", "layers.{i}.mlp.fc1."]),
    ("blocks.{i}.mlp.fc2.", &["encoder.layer.{i}.output.dense.", "layers.{i}.mlp.fc2."]),
    ("norm.", &["layernorm."]),
];

const HF_DINOV2: &[Row] = &[
    ("cls_token", &["embeddings.cls_token"]),
    ("reg_token", &["embeddings.register_tokens"]),
    ("pos_embed", &["embeddings.position_embeddings"]),
    ("patch_embed.proj.", &["embeddings.patch_embeddings.projection."]),
    ("blocks.{i}.norm1.", &["encoder.layer.{i}.norm1."]),
    ("blocks.{i}.norm2.", &["encoder.layer.{i}.norm2."]),
    ("blocks.{i}.ls1.gamma", &["encoder.layer.{i}.layer_scale1.lambda1"]),
    ("blocks.{i}.ls2.gamma", &["encoder.layer.{i}.layer_scale2.lambda1"]),
    ("blocks.{i}.attn.q.", &["encoder.layer.{i}.attention.attention.query.", "encoder.layer.{i}.attention.q_proj."]),
    ("blocks.{i}.attn.k.", &["encoder.layer.{i}.attention.attention.key.", "encoder.layer.{i}.attention.k_proj."]),
    ("blocks.{i}.attn.v.", &["encoder.layer.{i}.attention.attention.value.", "encoder.layer.{i}.attention.v_proj."]),
    ("blocks.{i}.attn.proj.", &["encoder.layer.{i}.attention.output.dense.", "encoder.layer.{i}.attention.o_proj."]),
    ("blocks.{i}.mlp.fc1.", &["encoder.layer.{i}.mlp.fc1.", "encoder.layer.{i}.mlp.weights_in."]),
    ("blocks.{i}.mlp.fc2.", &["encoder.layer.{i}.mlp.fc2.", "encoder.layer.{i}.mlp.weights_out."]),
    ("norm.", &["layernorm."]),
];

const HF_DINOV3: &[Row] = &[
    ("cls_token", &["embeddings.cls_token"]),
    ("reg_token", &["embeddings.register_tokens"]),
    ("patch_embed.proj.", &["embeddings.patch_embeddings."]),
    ("blocks.{i}.norm1.", &["layer.{i}.norm1.", "model.layer.{i}.norm1."]),
    ("blocks.{i}.norm2.", &["layer.{i}.norm2.", "model.layer.{i}.norm2."]),
    ("blocks.{i}.ls1.gamma", &["layer.{i}.layer_scale1.lambda1", "model.layer.{i}.layer_scale1.lambda1"]),
    ("blocks.{i}.ls2.gamma", &["layer.{i}.layer_scale2.lambda1", "model.layer.{i}.layer_scale2.lambda1"]),
    ("blocks.{i}.attn.q.", &["layer.{i}.attention.q_proj.", "model.layer.{i}.attention.q_proj."]),
    ("blocks.{i}.attn.k.", &["layer.{i}.attention.k_proj.", "model.layer.{i}.attention.k_proj."]),
    ("blocks.{i}.attn.v.", &["layer.{i}.attention.v_proj.", "model.layer.{i}.attention.v_proj."]),
    ("blocks.{i}.attn.proj.", &["layer.{i}.attention.o_proj.", "model.layer.{i}.attention.o_proj."]),
    ("blocks.{i}.mlp.gate.", &["layer.{i}.mlp.gate_proj.", "model.layer.{i}.mlp.gate_proj."]),
    ("blocks.{i}.mlp.fc1.", &["layer.{i}.mlp.up_proj.", "model.layer.{i}.mlp.up_proj."]),
    ("blocks.{i}.mlp.fc2.", &["layer.{i}.mlp.down_proj.", "model.layer.{i}.mlp.down_proj."]),
    ("norm.", &["norm."]),
];

const HF_CLIP: &[Row] = &[
    ("cls_token", &["embeddings.class_embedding"]),
    ("pos_embed", &["embeddings.position_embedding.weight"]),
    ("patch_embed.proj.", &["embeddings.patch_embedding."]),
    ("norm_pre.", &["pre_layrnorm."]),
    ("blocks.{i}.norm1.", &["encoder.layers.{i}.layer_norm1."]),
    ("blocks.{i}.norm2.", &["encoder.layers.{i}.layer_norm2."]),
    ("blocks.{i}.attn.q.", &["encoder.layers.{i}.self_attn.q_proj."]),
    ("blocks.{i}.attn.k.", &["encoder.layers.{i}.self_attn.k_proj."]),
    ("blocks.{i}.attn.v.", &["encoder.layers.{i}.self_attn.v_proj."]),
    ("blocks.{i}.attn.proj.", &["encoder.layers.{i}.self_attn.out_proj."]),
    ("blocks.{i}.mlp.fc1.", &["encoder.layers.{i}.mlp.fc1."]),
    ("blocks.{i}.mlp.fc2.", &["encoder.layers.{i}.mlp.fc2."]),
    ("norm.", &["post_layernorm."]),
    // SigLIP's attention pooling.
    ("attn_pool.latent", &["head.probe"]),
    ("attn_pool.in_proj.weight", &["head.attention.in_proj_weight"]),
    ("attn_pool.in_proj.bias", &["head.attention.in_proj_bias"]),
    ("attn_pool.proj.", &["head.attention.out_proj."]),
    ("attn_pool.norm.", &["head.layernorm."]),
    ("attn_pool.mlp.", &["head.mlp."]),
];

/// What a whole model puts before the names of its image tower.
const WRAPPERS: [&str; 6] = ["vision_model.", "vit.", "deit.", "dinov2.", "dinov2_with_registers.", "dinov3_vit."];

/// Tensors that an embedding model has no use for: classifiers, text towers, what masked training needed, buffers.
const IGNORED: [&str; 20] = [
    "__",
    "head.",
    "head_dist.",
    "fc_norm.",
    "pre_logits.",
    "classifier.",
    "cls_classifier.",
    "distillation_classifier.",
    "pooler.",
    "mask_token",
    "embeddings.mask_token",
    "embeddings.position_ids",
    "text_model.",
    "text_projection.",
    "visual_projection.",
    "logit_scale",
    "logit_bias",
    "rope.",
    "rope_embed.",
    "rope_embeddings.",
];

impl Layout {
    /// The layout that a checkpoint's names belong to; timm's if none is recognized.
    pub fn of<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut found = Layout::Timm;
        let mut pooled = false;
        for name in names.map(|name| without_wrapper(name)) {
            pooled |= name == "head.probe";
            let is = |part: &str| name.contains(part);
            found = match found {
                _ if is("self_attn.q_proj") && !name.starts_with("text_model.") => Layout::HfClip,
                _ if is("layernorm_before") => Layout::HfVit,
                Layout::Timm if is("encoder.layer.") && is("layer_scale1.lambda1") => Layout::HfDinov2,
                Layout::Timm if is("layer_scale1.lambda1") => Layout::HfDinov3,
                found => found,
            };
        }
        if found == Layout::HfClip && pooled { Layout::HfSiglip } else { found }
    }

    /// What it is called in messages and documents.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Timm => "timm",
            Layout::HfVit => "transformers ViT",
            Layout::HfDinov2 => "transformers DINOv2",
            Layout::HfDinov3 => "transformers DINOv3",
            Layout::HfClip => "transformers CLIP",
            Layout::HfSiglip => "transformers SigLIP",
        }
    }

    /// What shapes do not tell, as the family has it: epsilon of LayerNorm and the non-linearity.
    pub(super) fn conventions(self, norm_pre: bool, rotary: bool) -> (f64, Activation) {
        match self {
            Layout::Timm if norm_pre || rotary => (1e-5, Activation::Gelu),
            Layout::Timm | Layout::HfDinov2 => (1e-6, Activation::Gelu),
            Layout::HfVit => (1e-12, Activation::Gelu),
            Layout::HfDinov3 => (1e-5, Activation::Gelu),
            Layout::HfClip => (1e-5, Activation::QuickGelu),
            Layout::HfSiglip => (1e-6, Activation::GeluTanh),
        }
    }

    fn rows(self) -> &'static [Row] {
        match self {
            Layout::Timm => TIMM,
            Layout::HfVit => HF_VIT,
            Layout::HfDinov2 => HF_DINOV2,
            Layout::HfDinov3 => HF_DINOV3,
            Layout::HfClip | Layout::HfSiglip => HF_CLIP,
        }
    }

    /// Our name of the tensor that this layout calls `name`.
    fn ours(self, name: &str) -> String {
        let name = without_wrapper(name);
        let row = |(ours, theirs): &Row| theirs.iter().find_map(|theirs| translate(name, theirs, ours));
        self.rows().iter().find_map(row).unwrap_or_else(|| name.to_string())
    }

    /// How published files of this layout call our tensor `name` (with queries, keys and values apart).
    pub fn theirs(self, name: &str) -> String {
        let row = |(ours, theirs): &Row| theirs.first().and_then(|theirs| translate(name, ours, theirs));
        self.rows().iter().find_map(row).unwrap_or_else(|| name.to_string())
    }
}

/// A checkpoint's tensors by the names they have here.
#[derive(Clone, Debug)]
pub struct Names {
    /// Whose names the file has.
    pub layout: Layout,
    ours: BTreeMap<String, String>,
}

impl Names {
    /// Recognizes the layout of a file with tensors called `names`.
    pub fn of<'a>(names: impl Iterator<Item = &'a String> + Clone) -> Self {
        let layout = Layout::of(names.clone());
        let ours = names.map(|name| (layout.ours(name), name.clone())).collect();
        Self { layout, ours }
    }

    /// What the file calls our tensor `ours`.
    pub fn in_file(&self, ours: &str) -> Option<&str> {
        self.ours.get(ours).map(String::as_str)
    }

    /// `(our name, name in the file)` of every tensor that means something here.
    pub fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        let means_something = |name: &&str| !IGNORED.iter().any(|prefix| name.starts_with(prefix));
        self.ours
            .iter()
            .map(|(ours, theirs)| (ours.as_str(), theirs.as_str()))
            .filter(move |(ours, _)| means_something(ours))
    }
}

fn without_wrapper(name: &str) -> &str {
    WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)).unwrap_or(name)
}

/// `name` rewritten from pattern `from` to pattern `to`, if it begins with `from`; `{i}` stands for a number, and what
/// follows the pattern stays. A pattern that does not end in a dot must match the whole name.
fn translate(name: &str, from: &str, to: &str) -> Option<String> {
    let (number, rest) = match from.split_once("{i}") {
        None => ("", name.strip_prefix(from)?),
        Some((before, after)) => {
            let tail = name.strip_prefix(before)?;
            let digits = tail.find(|c: char| !c.is_ascii_digit())?;
            (&tail[..digits], tail[digits..].strip_prefix(after)?)
        }
    };
    let whole = from.ends_with('.') || rest.is_empty();
    (whole && number.is_empty() != from.contains("{i}")).then(|| format!("{}{rest}", to.replace("{i}", number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for layout in [Layout::HfVit, Layout::HfDinov2, Layout::HfDinov3, Layout::HfClip, Layout::HfSiglip] {
            for (ours, theirs) in layout.rows() {
                let ours = ours.replace("{i}", "11");
                for theirs in theirs.iter().map(|name| name.replace("{i}", "11")) {
                    assert_eq!(layout.ours(&theirs), ours, "{layout:?}");
                }
                assert_eq!(layout.ours(&layout.theirs(&ours)), ours, "{layout:?}");
            }
        }
    }

    #[test]
    fn only_whole_names_match() {
        assert_eq!(
            translate("blocks.3.gamma_1", "blocks.{i}.gamma_1", "blocks.{i}.ls1.gamma").unwrap(),
            "blocks.3.ls1.gamma"
        );
        assert_eq!(translate("blocks.3.gamma_11", "blocks.{i}.gamma_1", "blocks.{i}.ls1.gamma"), None);
        assert_eq!(translate("blocks..gamma_1", "blocks.{i}.gamma_1", "blocks.{i}.ls1.gamma"), None);
        assert_eq!(translate("norm.weight", "norm.", "layernorm.").unwrap(), "layernorm.weight");
    }
}
