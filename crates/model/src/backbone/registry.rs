//! The backbones Kinsight knows by name, with what their published weights expect.
//!
//! Sizes, statistics and crops are those of the publisher: timm's `default_cfgs`, or the `preprocessor_config.json` of a
//! repository in transformers' layout. AugReg, DeiT and DINO are the exception: they keep the bilinear 256/224 of the
//! authors of VPTSP-G, so that their results can be compared.

use kinsight_data::{Interpolation, Preprocess};

use crate::vit::config::VitConfig;
use crate::vit::{Activation, Pooling};
use crate::weights::Layout;

/// Name of the backbone that is part of the program.
pub const BUILT_IN: &str = "kinsight_nano";

/// One known backbone.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryEntry {
    /// Name on the command line.
    pub name: &'static str,
    /// Repository on the Hugging Face hub that holds `model.safetensors`; none for the built-in one.
    pub repository: Option<&'static str>,
    /// Whose tensor names the published file has.
    pub layout: Layout,
    /// Architecture.
    pub config: VitConfig,
    /// Mean, standard deviation and resize of its evaluation transform.
    pub preprocess: Preprocess,
    /// What stood for an image when the weights were trained.
    pub pooling: Pooling,
    /// How the weights were trained, in a few words.
    pub about: &'static str,
}

/// Width, depth, heads.
type Size = [usize; 3];

const TINY: Size = [192, 12, 3];
const SMALL: Size = [384, 12, 6];
const MEDIUM: Size = [512, 12, 8];
const BASE: Size = [768, 12, 12];
const LARGE: Size = [1024, 24, 16];
const HUGE: Size = [1280, 32, 16];
const GIANT: Size = [1536, 40, 24];

const HALF: [f32; 3] = [0.5; 3];
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
const IMAGENET: ([f32; 3], [f32; 3]) = (Preprocess::IMAGENET_MEAN, Preprocess::IMAGENET_STD);

/// All known backbones.
pub fn registry() -> Vec<RegistryEntry> {
    let mut all = vec![RegistryEntry {
        name: BUILT_IN,
        repository: None,
        layout: Layout::Timm,
        config: nano_config(),
        preprocess: nano_preprocess(),
        pooling: Pooling::Class,
        about: "built in: 3.8 M parameters, 128 px, trained on drawn butterflies; for the quickstart and first trials",
    }];
    all.extend(imagenet_supervised());
    all.extend(deit3());
    all.extend(dino());
    all.extend(dinov2());
    all.extend(dinov3());
    all.extend(clip());
    all.extend(siglip());
    all
}

/// The entry called `name`; `deit_tiny` stands for `deit_tiny_patch16_224`.
pub fn find(name: &str) -> Option<RegistryEntry> {
    registry().into_iter().find(|entry| entry.name == name || entry.name.strip_suffix("_patch16_224") == Some(name))
}

/// Architecture of the built-in backbone.
pub fn nano_config() -> VitConfig {
    VitConfig::new(128, 16, 192, 8, 3)
}

/// Preprocessing of the built-in backbone: 128 px out of a shorter side of 144.
pub fn nano_preprocess() -> Preprocess {
    Preprocess { input_size_px: 128, resize_size_px: 144, ..Preprocess::reference([0.5; 3], [0.5; 3]) }
}

fn entry(
    name: &'static str,
    repository: &'static str,
    config: VitConfig,
    preprocess: Preprocess,
    about: &'static str,
) -> RegistryEntry {
    let pooling = config.natural_pooling();
    RegistryEntry { name, repository: Some(repository), layout: Layout::Timm, config, preprocess, pooling, about }
}

fn vit(image: usize, patch: usize, [width, depth, heads]: Size) -> VitConfig {
    VitConfig::new(image, patch, width, depth, heads)
}

/// Bicubic, the shorter side to `resize`, the center `input`.
fn bicubic(input: u32, resize: u32, (mean, std): ([f32; 3], [f32; 3])) -> Preprocess {
    Preprocess { mean, std, input_size_px: input, resize_size_px: resize, interpolation: Interpolation::Bicubic }
}

fn imagenet_supervised() -> Vec<RegistryEntry> {
    const AUGREG: &str = "AugReg: ImageNet-21k, then ImageNet-1k (Steiner et al. 2021)";
    const IN21K: &str = "AugReg: ImageNet-21k only, as used in the VPTSP-G paper (Steiner et al. 2021)";
    const DEIT: &str = "DeiT: ImageNet-1k (Touvron et al. 2021)";
    const DISTILLED: &str =
        "DeiT with a distillation token: ImageNet-1k, distilled from a RegNet (Touvron et al. 2021)";
    const GOOGLE: &str = "ViT in transformers' layout: ImageNet-21k (Dosovitskiy et al. 2021)";
    let half = Preprocess::reference(HALF, HALF);
    let imagenet = Preprocess::reference(IMAGENET.0, IMAGENET.1);
    let augreg = |name, repository, size| entry(name, repository, vit(224, 16, size), half, AUGREG);
    let in21k = |name, repository, size| entry(name, repository, vit(224, 16, size), half, IN21K);
    let deit = |name, repository, size| entry(name, repository, vit(224, 16, size), imagenet, DEIT);
    let distilled = |name, repository, size| {
        entry(name, repository, VitConfig { distilled: true, ..vit(224, 16, size) }, imagenet, DISTILLED)
    };
    let google = |name, repository, size| RegistryEntry {
        layout: Layout::HfVit,
        preprocess: Preprocess { resize_size_px: 224, ..half },
        ..entry(name, repository, VitConfig { layer_norm_eps: 1e-12, ..vit(224, 16, size) }, half, GOOGLE)
    };
    vec![
        augreg("vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", TINY),
        augreg("vit_small_patch16_224", "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", SMALL),
        augreg("vit_base_patch16_224", "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", BASE),
        augreg("vit_large_patch16_224", "timm/vit_large_patch16_224.augreg_in21k_ft_in1k", LARGE),
        in21k("vit_tiny_patch16_224_in21k", "timm/vit_tiny_patch16_224.augreg_in21k", TINY),
        in21k("vit_small_patch16_224_in21k", "timm/vit_small_patch16_224.augreg_in21k", SMALL),
        in21k("vit_base_patch16_224_in21k", "timm/vit_base_patch16_224.augreg_in21k", BASE),
        in21k("vit_large_patch16_224_in21k", "timm/vit_large_patch16_224.augreg_in21k", LARGE),
        google("google_vit_base_patch16_224_in21k", "google/vit-base-patch16-224-in21k", BASE),
        google("google_vit_large_patch16_224_in21k", "google/vit-large-patch16-224-in21k", LARGE),
        deit("deit_tiny_patch16_224", "timm/deit_tiny_patch16_224.fb_in1k", TINY),
        deit("deit_small_patch16_224", "timm/deit_small_patch16_224.fb_in1k", SMALL),
        deit("deit_base_patch16_224", "timm/deit_base_patch16_224.fb_in1k", BASE),
        distilled("deit_tiny_distilled_patch16_224", "timm/deit_tiny_distilled_patch16_224.fb_in1k", TINY),
        distilled("deit_small_distilled_patch16_224", "timm/deit_small_distilled_patch16_224.fb_in1k", SMALL),
        distilled("deit_base_distilled_patch16_224", "timm/deit_base_distilled_patch16_224.fb_in1k", BASE),
    ]
}

fn deit3() -> Vec<RegistryEntry> {
    const ABOUT: &str = "DeiT III: ImageNet-21k, then ImageNet-1k (Touvron et al. 2022)";
    let deit3 = |name, repository, patch, size| {
        let config = VitConfig { layer_scale: true, class_position: false, ..vit(224, patch, size) };
        entry(name, repository, config, bicubic(224, 224, IMAGENET), ABOUT)
    };
    vec![
        deit3("deit3_small_patch16_224", "timm/deit3_small_patch16_224.fb_in22k_ft_in1k", 16, SMALL),
        deit3("deit3_medium_patch16_224", "timm/deit3_medium_patch16_224.fb_in22k_ft_in1k", 16, MEDIUM),
        deit3("deit3_base_patch16_224", "timm/deit3_base_patch16_224.fb_in22k_ft_in1k", 16, BASE),
        deit3("deit3_large_patch16_224", "timm/deit3_large_patch16_224.fb_in22k_ft_in1k", 16, LARGE),
        deit3("deit3_huge_patch14_224", "timm/deit3_huge_patch14_224.fb_in22k_ft_in1k", 14, HUGE),
    ]
}

fn dino() -> Vec<RegistryEntry> {
    const ABOUT: &str = "DINO: ImageNet-1k without labels (Caron et al. 2021)";
    let dino = |name, repository, patch, size| {
        entry(name, repository, vit(224, patch, size), Preprocess::reference(IMAGENET.0, IMAGENET.1), ABOUT)
    };
    vec![
        dino("dino_vits16", "timm/vit_small_patch16_224.dino", 16, SMALL),
        dino("dino_vitb16", "timm/vit_base_patch16_224.dino", 16, BASE),
        dino("dino_vits8", "timm/vit_small_patch8_224.dino", 8, SMALL),
        dino("dino_vitb8", "timm/vit_base_patch8_224.dino", 8, BASE),
    ]
}

fn dinov2() -> Vec<RegistryEntry> {
    const ABOUT: &str = "DINOv2: LVD-142M without labels, 518 px (Oquab et al. 2023)";
    const REGISTERS: &str = "DINOv2 with 4 registers: LVD-142M without labels, 518 px (Darcet et al. 2024)";
    const HF: &str = "DINOv2 in transformers' layout, used at 224 px (Oquab et al. 2023)";
    const HF_REGISTERS: &str = "DINOv2 with 4 registers in transformers' layout, used at 224 px (Darcet et al. 2024)";
    let config = |image, size| {
        let giant = size == GIANT;
        let plain = vit(image, 14, size);
        let mlp_hidden = if giant { 4096 } else { plain.mlp_hidden };
        VitConfig { layer_scale: true, gated_mlp: giant, mlp_hidden, ..plain }
    };
    let timm = |name, repository, size| entry(name, repository, config(518, size), bicubic(518, 518, IMAGENET), ABOUT);
    let timm_registers = |name, repository, size| {
        let config = VitConfig { registers: 4, class_position: false, ..config(518, size) };
        entry(name, repository, config, bicubic(518, 518, IMAGENET), REGISTERS)
    };
    let hf = |name, repository, size, registers| {
        let config = VitConfig { registers, ..config(224, size) };
        let about = if registers > 0 { HF_REGISTERS } else { HF };
        let entry = entry(name, repository, config, bicubic(224, 256, IMAGENET), about);
        RegistryEntry { layout: Layout::HfDinov2, ..entry }
    };
    vec![
        timm("vit_small_patch14_dinov2", "timm/vit_small_patch14_dinov2.lvd142m", SMALL),
        timm("vit_base_patch14_dinov2", "timm/vit_base_patch14_dinov2.lvd142m", BASE),
        timm("vit_large_patch14_dinov2", "timm/vit_large_patch14_dinov2.lvd142m", LARGE),
        timm("vit_giant_patch14_dinov2", "timm/vit_giant_patch14_dinov2.lvd142m", GIANT),
        timm_registers("vit_small_patch14_reg4_dinov2", "timm/vit_small_patch14_reg4_dinov2.lvd142m", SMALL),
        timm_registers("vit_base_patch14_reg4_dinov2", "timm/vit_base_patch14_reg4_dinov2.lvd142m", BASE),
        timm_registers("vit_large_patch14_reg4_dinov2", "timm/vit_large_patch14_reg4_dinov2.lvd142m", LARGE),
        timm_registers("vit_giant_patch14_reg4_dinov2", "timm/vit_giant_patch14_reg4_dinov2.lvd142m", GIANT),
        hf("dinov2_small", "facebook/dinov2-small", SMALL, 0),
        hf("dinov2_base", "facebook/dinov2-base", BASE, 0),
        hf("dinov2_large", "facebook/dinov2-large", LARGE, 0),
        hf("dinov2_giant", "facebook/dinov2-giant", GIANT, 0),
        hf("dinov2_with_registers_small", "facebook/dinov2-with-registers-small", SMALL, 4),
        hf("dinov2_with_registers_base", "facebook/dinov2-with-registers-base", BASE, 4),
        hf("dinov2_with_registers_large", "facebook/dinov2-with-registers-large", LARGE, 4),
    ]
}

fn dinov3() -> Vec<RegistryEntry> {
    const TIMM: &str = "DINOv3: LVD-1689M without labels, rotary positions, 256 px (Siméoni et al. 2025)";
    const HF: &str =
        "DINOv3 in transformers' layout, 224 px; its licence must be accepted on the hub (Siméoni et al. 2025)";
    let config = |image, size| VitConfig {
        layer_scale: true,
        registers: 4,
        rotary_theta: Some(100.0),
        layer_norm_eps: 1e-5,
        ..vit(image, 16, size)
    };
    let timm = |name, repository, size| {
        let config = VitConfig { qkv_bias: false, ..config(256, size) };
        entry(name, repository, config, bicubic(256, 256, IMAGENET), TIMM)
    };
    let hf = |name, repository, config| {
        let preprocess = Preprocess { interpolation: Interpolation::Bilinear, ..bicubic(224, 224, IMAGENET) };
        RegistryEntry { layout: Layout::HfDinov3, ..entry(name, repository, config, preprocess, HF) }
    };
    let gated = |size, mlp_hidden| VitConfig { gated_mlp: true, mlp_hidden, ..config(224, size) };
    vec![
        timm("vit_small_patch16_dinov3", "timm/vit_small_patch16_dinov3.lvd1689m", SMALL),
        timm("vit_base_patch16_dinov3", "timm/vit_base_patch16_dinov3.lvd1689m", BASE),
        timm("vit_large_patch16_dinov3", "timm/vit_large_patch16_dinov3.lvd1689m", LARGE),
        hf("dinov3_vits16", "facebook/dinov3-vits16-pretrain-lvd1689m", config(224, SMALL)),
        hf("dinov3_vits16plus", "facebook/dinov3-vits16plus-pretrain-lvd1689m", gated(SMALL, 1536)),
        hf("dinov3_vitb16", "facebook/dinov3-vitb16-pretrain-lvd1689m", config(224, BASE)),
        hf("dinov3_vitl16", "facebook/dinov3-vitl16-pretrain-lvd1689m", config(224, LARGE)),
        hf("dinov3_vith16plus", "facebook/dinov3-vith16plus-pretrain-lvd1689m", gated([1280, 32, 20], 5120)),
    ]
}

fn clip() -> Vec<RegistryEntry> {
    const OPENAI: &str = "CLIP's image tower: 400 M captions (Radford et al. 2021)";
    const LAION: &str = "OpenCLIP's image tower: LAION-2B captions (Cherti et al. 2023)";
    const HF: &str = "CLIP's image tower in transformers' layout: 400 M captions (Radford et al. 2021)";
    const STATISTICS: ([f32; 3], [f32; 3]) = (CLIP_MEAN, CLIP_STD);
    let config = |image, patch, size, activation| VitConfig {
        norm_pre: true,
        patch_bias: false,
        layer_norm_eps: 1e-5,
        activation,
        ..vit(image, patch, size)
    };
    let openai = |name, repository, image: u32, resize, patch, size| {
        let config = config(image as usize, patch, size, Activation::QuickGelu);
        entry(name, repository, config, bicubic(image, resize, STATISTICS), OPENAI)
    };
    let laion = |name, repository, resize, patch, size, statistics| {
        entry(name, repository, config(224, patch, size, Activation::Gelu), bicubic(224, resize, statistics), LAION)
    };
    let hf = |name, repository, patch, size| {
        let config = config(224, patch, size, Activation::QuickGelu);
        let entry = entry(name, repository, config, bicubic(224, 224, STATISTICS), HF);
        RegistryEntry { layout: Layout::HfClip, ..entry }
    };
    vec![
        openai("vit_base_patch32_clip_224_openai", "timm/vit_base_patch32_clip_224.openai", 224, 248, 32, BASE),
        openai("vit_base_patch16_clip_224_openai", "timm/vit_base_patch16_clip_224.openai", 224, 248, 16, BASE),
        openai("vit_large_patch14_clip_224_openai", "timm/vit_large_patch14_clip_224.openai", 224, 224, 14, LARGE),
        openai("vit_large_patch14_clip_336_openai", "timm/vit_large_patch14_clip_336.openai", 336, 336, 14, LARGE),
        laion("vit_base_patch32_clip_224_laion2b", "timm/vit_base_patch32_clip_224.laion2b", 248, 32, BASE, STATISTICS),
        laion("vit_base_patch16_clip_224_laion2b", "timm/vit_base_patch16_clip_224.laion2b", 224, 16, BASE, STATISTICS),
        laion(
            "vit_large_patch14_clip_224_laion2b",
            "timm/vit_large_patch14_clip_224.laion2b",
            224,
            14,
            LARGE,
            (HALF, HALF),
        ),
        laion("vit_huge_patch14_clip_224_laion2b", "timm/vit_huge_patch14_clip_224.laion2b", 224, 14, HUGE, STATISTICS),
        hf("clip_vit_base_patch32", "openai/clip-vit-base-patch32", 32, BASE),
        hf("clip_vit_base_patch16", "openai/clip-vit-base-patch16", 16, BASE),
        hf("clip_vit_large_patch14", "openai/clip-vit-large-patch14", 14, LARGE),
    ]
}

fn siglip() -> Vec<RegistryEntry> {
    const ABOUT: &str = "SigLIP's image tower: WebLI captions, attention pooling (Zhai et al. 2023)";
    const SECOND: &str = "SigLIP 2's image tower: WebLI captions, attention pooling (Tschannen et al. 2025)";
    let siglip = |name, repository, image: u32, patch, size, about| {
        let plain = vit(image as usize, patch, size);
        let mlp_hidden = if size[0] == 1152 { 4304 } else { plain.mlp_hidden };
        let config = VitConfig { class_token: false, class_position: false, attention_pool: true, mlp_hidden, ..plain };
        // timm's default crop of nine tenths.
        let resize = (f64::from(image) / 0.9).floor() as u32;
        entry(name, repository, config, bicubic(image, resize, (HALF, HALF)), about)
    };
    const SO400M: Size = [1152, 27, 16];
    vec![
        siglip("vit_base_patch16_siglip_224", "timm/vit_base_patch16_siglip_224.webli", 224, 16, BASE, ABOUT),
        siglip("vit_base_patch16_siglip_256", "timm/vit_base_patch16_siglip_256.webli", 256, 16, BASE, ABOUT),
        siglip("vit_base_patch16_siglip_384", "timm/vit_base_patch16_siglip_384.webli", 384, 16, BASE, ABOUT),
        siglip("vit_large_patch16_siglip_256", "timm/vit_large_patch16_siglip_256.webli", 256, 16, LARGE, ABOUT),
        siglip("vit_so400m_patch14_siglip_224", "timm/vit_so400m_patch14_siglip_224.webli", 224, 14, SO400M, ABOUT),
        siglip("vit_base_patch16_siglip2_224", "timm/vit_base_patch16_siglip_224.v2_webli", 224, 16, BASE, SECOND),
        siglip("vit_large_patch16_siglip2_256", "timm/vit_large_patch16_siglip_256.v2_webli", 256, 16, LARGE, SECOND),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_entry_describes_a_transformer_and_has_a_name_of_its_own() {
        let all = registry();
        assert!(all.len() > 60);
        for entry in &all {
            entry.config.validate().unwrap();
            entry.config.check_pooling(entry.pooling).unwrap();
            entry.preprocess.validate().unwrap();
            assert_eq!(entry.preprocess.input_size_px as usize, entry.config.image_size, "{}", entry.name);
            assert_eq!(find(entry.name).as_ref(), Some(entry));
        }
        let names: BTreeSet<&str> = all.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
