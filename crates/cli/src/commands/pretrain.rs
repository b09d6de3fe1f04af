//! `kinsight pretrain`: the recipe that made the built-in backbone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_data::{Dataset, Preprocess, SplitRule};
use kinsight_files::Lock;
use kinsight_model::backbone::registry::{nano_config, nano_preprocess};
use kinsight_model::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use kinsight_model::parameters::{RandomInit, named_tensors};
use kinsight_model::weights::{write_safetensors, write_safetensors_f16};
use kinsight_model::{VisionTransformer, VitConfig};
use kinsight_synthetic::{Film, SyntheticSpec, write_folder};
use kinsight_train::TrainConfig;
use kinsight_train::trainer::Trainer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::eval::print_metrics;
use crate::arguments::PretrainArgs;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::{TrainProgress, counting_bar};

/// A pretraining recipe.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// Species drawn, from number 0; the last `held_out` of them are measured on and not trained on.
    species: u32,
    held_out: u32,
    images_per_species: u32,
    /// What the training images are labeled by.
    labels: Labels,
    /// Training proper; `backbone` and `data` are filled in.
    train: TrainConfig,
}

/// What a training image is labeled by.
///
/// Held-out images are always labeled by species.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Labels {
    Species,
    /// Sister species share a label, as coarse classes of a general backbone do: what tells them apart is left for
    /// fine-tuning to teach.
    Genus,
}

/// Draws, trains from random weights, writes `kinsight_nano.safetensors`.
pub fn run(arguments: PretrainArgs) -> Result<()> {
    let PretrainArgs { config: path, out, resume, compute } = arguments;
    let context = compute.resolve()?;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read the recipe {}", path.display()))?;
    let recipe: Recipe = toml::from_str(&text).with_context(|| format!("invalid recipe {}", path.display()))?;
    let (config, preprocess) = (nano_config(), nano_preprocess());
    kinsight_files::create_dir_all(&out)?;
    let _lock = Lock::acquire(&out, "kinsight pretrain")?;
    let list = draw(&recipe, &out, preprocess.resize_size_px)?;

    let start = out.join("start.safetensors");
    // Written every time: it is a function of the recipe, so a resumed run finds the same bytes.
    write_random_backbone(&start, &config, preprocess, recipe.train.seed, &context.device)?;
    let mut train = recipe.train;
    train.backbone = start.display().to_string();
    train.data.path = list;
    train.data.split = Some(SplitRule::Csv);
    train.compute = context.compute.over(train.compute);

    let trainer = Trainer::new(train, &context.device)?;
    let mut progress = TrainProgress::new("pretraining");
    let outcome = trainer.run(&out.join("run"), resume, stop_flag()?, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    let Some(measured) = outcome.measured else {
        return stopped("a checkpoint is saved, and the same command with --resume goes on from it");
    };
    print_metrics(&measured.evaluation);

    let target = out.join("kinsight_nano.safetensors");
    let tensors = named_tensors(&outcome.encoder.backbone);
    write_safetensors_f16(&target, &tensors, metadata(&config, preprocess)?)?;
    println!("wrote {} ({:.1} MB)", target.display(), fs::metadata(&target)?.len() as f64 / 1e6);
    Ok(())
}

/// Draws training species into `species/train` and held-out ones into `species/test`, and lists the images with their
/// labels in `images.csv`.
fn draw(recipe: &Recipe, out: &Path, size_px: u32) -> Result<PathBuf> {
    let trained = recipe.species.saturating_sub(recipe.held_out);
    let path = out.join("images.csv");
    let mut list = String::from("path,label,split\n");
    for (part, classes) in [("train", 0..trained), ("test", trained..recipe.species)] {
        let spec = SyntheticSpec {
            seed: recipe.train.seed,
            images_per_class: recipe.images_per_species,
            size_px,
            classes: classes.clone(),
            film: Film::Positive,
        };
        let folder = Path::new("species").join(part);
        let bar = counting_bar("drawing", classes.len() * recipe.images_per_species as usize, "butterflies");
        let drawn = write_folder(&spec, &out.join(&folder), |progress| bar.set_position(progress.done));
        bar.finish_and_clear();
        drawn?;
        let images = Dataset::from_folder(&out.join(&folder))?;
        for item in &images.items {
            let species = &images.class_names[item.label as usize];
            let label = match (part, recipe.labels) {
                ("train", Labels::Genus) => species.split_once('-').map_or(species.as_str(), |(genus, _)| genus),
                _ => species,
            };
            let file = item.path.strip_prefix(out).unwrap_or(&item.path);
            list.push_str(&format!("{},{label},{part}\n", file.display()));
        }
    }
    kinsight_files::write(&path, list.as_bytes())?;
    Ok(path)
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
