//! `kinsight eval`

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_data::{Dataset, Preprocess, Split, SplitRule};
use kinsight_model::embedder::EmbedOptions;
use kinsight_model::finetuned::{load_fine_tuned, read_info};
use kinsight_model::{Backbone, Compute, Encoder};
use kinsight_retrieval::{ClassScores, EvalConfig, Evaluation};
use kinsight_train::TrainConfig;
use kinsight_train::evaluation::{Measured, measure};
use kinsight_train::run::RunFolder;
use serde_json::json;

use super::settings::{apply, split_rule, use_threads};
use crate::arguments::{EvalArgs, PartArg};
use crate::progress::counting_bar;

/// Measures and prints.
pub fn run(arguments: &EvalArgs) -> Result<()> {
    use_threads(arguments.compute.threads)?;
    let device = arguments.compute.device.open()?;
    let run = arguments.run.as_deref().map(open_run).transpose()?;
    let (mut encoder, preprocess, name) = encoder(arguments, run.as_ref(), &device)?;
    let mut compute = run.as_ref().map_or_else(Compute::default, |(_, config)| config.compute);
    apply(&arguments.compute, &mut compute);
    encoder.backbone.compute = compute;
    let dataset = Arc::new(dataset(arguments, run.as_ref().map(|(_, config)| config))?);

    let bar = counting_bar("embedding", dataset.len(), "images");
    let config = EvalConfig {
        ks: arguments.recall_at.clone(),
        max_memory_bytes: arguments.max_memory_mb << 20,
        ..EvalConfig::default()
    };
    let options = EmbedOptions { batch_size: arguments.batch_size, ..EmbedOptions::default() };
    let measured =
        measure(&encoder, &dataset, preprocess, options, &config, &device, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let measured = measured?;
    for (path, reason) in &measured.unreadable {
        eprintln!("warning: skipped {}: {reason}", path.display());
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&name, &dataset, &measured, arguments.classes))?);
        return Ok(());
    }
    println!("{name} on {} images of {} classes", measured.labels.len(), dataset.num_classes());
    print_metrics(&measured.evaluation);
    print_classes("worst classes", &measured.evaluation.worst_classes(arguments.classes), &dataset);
    print_classes("best classes", &measured.evaluation.best_classes(arguments.classes), &dataset);
    Ok(())
}

/// Prints Recall@K, R-precision and MAP@R.
pub fn print_metrics(evaluation: &Evaluation) {
    let mut recalls: Vec<(usize, f64)> = evaluation
        .metrics
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("recall@")?.parse().ok()?, *value)))
        .collect();
    recalls.sort_by_key(|(k, _)| *k);
    for (k, value) in recalls {
        println!("  {:<12} {:5.1} %", format!("Recall@{k}"), 100.0 * value);
    }
    println!("  {:<12} {:5.1} %", "MAP@R", 100.0 * evaluation.map_at_r());
    if evaluation.queries_without_reference > 0 {
        println!(
            "  {} of {} queries are alone in their class: they count as wrong in Recall@K and are left out of MAP@R",
            evaluation.queries_without_reference, evaluation.queries
        );
    }
}

fn print_classes(title: &str, classes: &[&ClassScores], dataset: &Dataset) {
    if classes.is_empty() {
        return;
    }
    println!("{title}");
    for class in classes {
        println!(
            "  {:<40} Recall@1 {:5.1} %  MAP@R {:5.1} %  ({} images)",
            class_name(dataset, class.label),
            100.0 * class.recall_at_1,
            100.0 * class.map_at_r,
            class.queries
        );
    }
}

fn class_name(dataset: &Dataset, label: i64) -> &str {
    dataset.class_names.get(label as usize).map_or("?", String::as_str)
}

fn as_json(name: &str, dataset: &Dataset, measured: &Measured, listed: usize) -> serde_json::Value {
    let classes = |classes: Vec<&ClassScores>| -> Vec<serde_json::Value> {
        classes
            .into_iter()
            .map(|class| {
                json!({
                    "class": class_name(dataset, class.label),
                    "images": class.queries,
                    "recall@1": class.recall_at_1,
                    "map@r": class.map_at_r,
                })
            })
            .collect()
    };
    let evaluation = &measured.evaluation;
    json!({
        "model": name,
        "images": measured.labels.len(),
        "classes": dataset.num_classes(),
        "queries_without_reference": evaluation.queries_without_reference,
        "skipped": measured.unreadable.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>(),
        "metrics": evaluation.metrics,
        "worst_classes": classes(evaluation.worst_classes(listed)),
        "best_classes": classes(evaluation.best_classes(listed)),
    })
}

fn open_run(path: &Path) -> Result<(RunFolder, TrainConfig)> {
    let folder = RunFolder::at(path);
    let config = folder.read_config()?;
    Ok((folder, config))
}

/// The encoder to measure, how its images are prepared, and what to call it.
fn encoder(
    arguments: &EvalArgs,
    run: Option<&(RunFolder, TrainConfig)>,
    device: &Device,
) -> Result<(Encoder, Preprocess, String)> {
    let Some((folder, config)) = run else {
        let name = arguments.backbone.as_deref().context("--backbone is missing")?;
        let backbone = Backbone::open(name, None)?;
        if backbone.preprocess_is_a_guess {
            eprintln!("warning: the backbone does not say how its images were normalised; ImageNet's values are used");
        }
        let encoder = Encoder::bare(&backbone, None, device)?;
        return Ok((encoder, backbone.preprocess, format!("{} (zero-shot)", backbone.name)));
    };
    let info = read_info(&folder.model()).with_context(|| {
        format!("{} has no finished fine-tuning; finish it with `kinsight train --resume`", folder.root().display())
    })?;
    let name = arguments.backbone.as_deref().unwrap_or(&info.backbone);
    let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize))?;
    let encoder = load_fine_tuned(&folder.model(), &backbone, device)?;
    Ok((encoder, info.preprocess, config.method.clone()))
}

fn dataset(arguments: &EvalArgs, config: Option<&TrainConfig>) -> Result<Dataset> {
    let path = match (&arguments.data, config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => config.data.path.clone(),
        (None, None) => anyhow::bail!("--data is missing"),
    };
    let of_run = config.filter(|config| config.data.path == path).and_then(|config| config.data.split);
    let rule = arguments.split.map(|split| split_rule(split, arguments.seed)).or(of_run);
    if arguments.part == PartArg::All {
        return match rule.unwrap_or_else(|| SplitRule::detect(&path)) {
            SplitRule::Csv => Ok(Dataset::from_csv(&path)?),
            SplitRule::Folders => anyhow::bail!("--part all needs one folder of class folders, not train/ and test/"),
            SplitRule::FirstHalf | SplitRule::RandomHalf { .. } => Ok(Dataset::from_folder(&path)?),
        };
    }
    let split = Split::load(&path, rule, config.is_some_and(|config| config.data.allow_overlap))?;
    Ok(if arguments.part == PartArg::Train { split.train } else { split.test })
}
