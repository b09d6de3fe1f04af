//! The backbones Kinsight knows by name, with what their published weights expect.

use kinsight_data::Preprocess;

use crate::vit::Pooling;
use crate::vit::config::VitConfig;

/// Name of the backbone that is part of the program.
pub const BUILT_IN: &str = "kinsight_nano";

/// One known backbone.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryEntry {
    /// Name on the command line.
    pub name: &'static str,
    /// Repository on the Hugging Face hub that holds `model.safetensors`; none for the built-in one.
    pub repository: Option<&'static str>,
    /// Architecture.
    pub config: VitConfig,
    /// Mean, standard deviation and resize of its evaluation transform.
    pub preprocess: Preprocess,
    /// What stood for an image when the weights were trained.
    pub pooling: Pooling,
    /// How the weights were trained, in a few words.
    pub about: &'static str,
}

/// All known backbones.
pub fn registry() -> Vec<RegistryEntry> {
    let half = [0.5; 3];
    let (mean, std) = (Preprocess::IMAGENET_MEAN, Preprocess::IMAGENET_STD);
    let entry = |name, repository, [width, depth, heads]: [usize; 3], mean, std, about| RegistryEntry {
        name,
        repository: Some(repository),
        config: VitConfig::new(224, 16, width, depth, heads),
        preprocess: Preprocess::reference(mean, std),
        pooling: Pooling::Class,
        about,
    };
    const TINY: [usize; 3] = [192, 12, 3];
    const SMALL: [usize; 3] = [384, 12, 6];
    const BASE: [usize; 3] = [768, 12, 12];
    const LARGE: [usize; 3] = [1024, 24, 16];
    const AUGREG: &str = "AugReg: ImageNet-21k, then ImageNet-1k (Steiner et al. 2021)";
    const IN21K: &str = "AugReg: ImageNet-21k alone, as the authors of VPTSP-G use (Steiner et al. 2021)";
    const DEIT: &str = "DeiT: ImageNet-1k (Touvron et al. 2021)";
    const DINO: &str = "DINO: ImageNet-1k without labels (Caron et al. 2021)";
    let augreg = |name, repository, size| entry(name, repository, size, half, half, AUGREG);
    let in21k = |name, repository, size| entry(name, repository, size, half, half, IN21K);
    let deit = |name, repository, size| entry(name, repository, size, mean, std, DEIT);
    let dino = |name, repository, size| entry(name, repository, size, mean, std, DINO);
    vec![
        RegistryEntry {
            name: BUILT_IN,
            repository: None,
            config: nano_config(),
            preprocess: nano_preprocess(),
            pooling: Pooling::Class,
            about: "built in: 3.8 M parameters, 128 px, trained on drawn butterflies; for the quickstart and for trying things",
        },
        augreg("vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", TINY),
        augreg("vit_small_patch16_224", "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", SMALL),
        augreg("vit_base_patch16_224", "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", BASE),
        augreg("vit_large_patch16_224", "timm/vit_large_patch16_224.augreg_in21k_ft_in1k", LARGE),
        in21k("vit_tiny_patch16_224_in21k", "timm/vit_tiny_patch16_224.augreg_in21k", TINY),
        in21k("vit_small_patch16_224_in21k", "timm/vit_small_patch16_224.augreg_in21k", SMALL),
        in21k("vit_base_patch16_224_in21k", "timm/vit_base_patch16_224.augreg_in21k", BASE),
        in21k("vit_large_patch16_224_in21k", "timm/vit_large_patch16_224.augreg_in21k", LARGE),
        deit("deit_tiny_patch16_224", "timm/deit_tiny_patch16_224.fb_in1k", TINY),
        deit("deit_small_patch16_224", "timm/deit_small_patch16_224.fb_in1k", SMALL),
        deit("deit_base_patch16_224", "timm/deit_base_patch16_224.fb_in1k", BASE),
        dino("dino_vits16", "timm/vit_small_patch16_224.dino", SMALL),
        dino("dino_vitb16", "timm/vit_base_patch16_224.dino", BASE),
    ]
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
