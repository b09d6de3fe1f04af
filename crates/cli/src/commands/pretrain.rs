//! `kinsight pretrain`: the recipe that made the built-in backbone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_data::synthetic::{SyntheticSpec, write_folder};
use kinsight_data::{Preprocess, SplitRule};
use kinsight_model::backbone::registry::{nano_config, nano_preprocess};
use kinsight_model::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use kinsight_model::parameters::{RandomInit, named_tensors};
use kinsight_model::weights::{write_safetensors, write_safetensors_f16};
use kinsight_model::{VisionTransformer, VitConfig};
use kinsight_train::TrainConfig;
use kinsight_train::trainer::Trainer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::eval::print_metrics;
use super::settings::{apply, use_threads};
use crate::arguments::PretrainArgs;
use crate::interrupt;
use crate::progress::{TrainProgress, counting_bar};

/// A pretraining recipe.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// Species drawn, from number 0; the last `held_out` of them are measured on and not trained on.
    species: u32,
    held_out: u32,
    images_per_species: u32,
    /// Training proper; `backbone` and `data` are filled in.
    train: TrainConfig,
}

/// Draws, trains from random weights, writes `kinsight_nano.safetensors`.
pub fn run(arguments: &PretrainArgs) -> Result<()> {
    use_threads(arguments.compute.threads)?;
    let text = fs::read_to_string(&arguments.config)
        .with_context(|| format!("cannot read the recipe {}", arguments.config.display()))?;
    let recipe: Recipe =
        toml::from_str(&text).with_context(|| format!("invalid recipe {}", arguments.config.display()))?;
    let (config, preprocess) = (nano_config(), nano_preprocess());
    draw(&recipe, &arguments.out, preprocess.resize_size_px)?;

    let device = arguments.compute.device.open()?;
    let start = arguments.out.join("start.safetensors");
    write_random_backbone(&start, &config, preprocess, recipe.train.seed, &device)?;
    let mut train = recipe.train;
    train.backbone = start.display().to_string();
    train.data.path = arguments.out.join("species");
    train.data.split = Some(SplitRule::Folders);
    apply(&arguments.compute, &mut train.compute);

    let trainer = Trainer::new(train, &device)?;
    let stop = interrupt::stop_flag()?;
    let mut progress = TrainProgress::new("pretraining");
    let outcome = trainer.run(&arguments.out.join("run"), arguments.resume, &stop, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    let Some(measured) = outcome.measured else { return Ok(()) };
    print_metrics(&measured.evaluation);

    let target = arguments.out.join("kinsight_nano.safetensors");
    let tensors = named_tensors(&outcome.encoder.backbone);
    write_safetensors_f16(&target, &tensors, metadata(&config, preprocess)?)?;
    println!("wrote {} ({:.1} MB)", target.display(), fs::metadata(&target)?.len() as f64 / 1e6);
    Ok(())
}

/// Draws training species into `species/train` and held-out ones into `species/test`.
fn draw(recipe: &Recipe, out: &Path, size_px: u32) -> Result<()> {
    let trained = recipe.species.saturating_sub(recipe.held_out);
    for (part, classes) in [("train", 0..trained), ("test", trained..recipe.species)] {
        let spec = SyntheticSpec {
            seed: recipe.train.seed,
            images_per_class: recipe.images_per_species,
            size_px,
            classes: classes.clone(),
        };
        let bar = counting_bar("drawing", classes.len() * recipe.images_per_species as usize, "butterflies");
        let drawn = write_folder(&spec, &out.join("species").join(part), |progress| bar.set_position(progress.done));
        bar.finish_and_clear();
        drawn?;
    }
    Ok(())
}

fn metadata(config: &VitConfig, preprocess: Preprocess) -> Result<BTreeMap<String, String>> {
    Ok(BTreeMap::from([
        (CONFIG_KEY.to_string(), serde_json::to_string(config)?),
        (PREPROCESS_KEY.to_string(), serde_json::to_string(&preprocess)?),
    ]))
}

fn write_random_backbone(
    path: &Path,
    config: &VitConfig,
    preprocess: Preprocess,
    seed: u64,
    device: &Device,
) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let model = VisionTransformer::from_source(&mut RandomInit::new(&mut rng, device), "", config, None);
    write_safetensors(path, &named_tensors(&model), metadata(config, preprocess)?)?;
    Ok(())
}
