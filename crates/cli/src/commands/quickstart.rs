//! `kinsight quickstart`: the whole path on drawn images, offline, in about three minutes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kinsight_data::SplitRule;
use kinsight_model::backbone::registry::BUILT_IN;
use kinsight_synthetic::{Film, SyntheticSpec, write_folder};
use kinsight_train::config::{Overrides, TrainConfig};
use kinsight_train::run::{ReportedRun, RunFolder, RunReport, RunStory};
use kinsight_train::trainer::{Outcome, Trainer};
use toml::Value;

use crate::arguments::QuickstartArgs;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::{TrainProgress, counting_bar, grouped};

/// Species of the quickstart start here, far beyond those that the built-in backbone was trained on.
const FIRST_SPECIES: u32 = 1_000_000;
/// Species that train; as many others, most of them sisters of these, test.
const TRAIN_SPECIES: u32 = 24;
const IMAGES_PER_SPECIES: u32 = 20;
const SIZE_PX: u32 = 144;
const EPOCHS: usize = 24;

/// Draws, measures, trains twice, prints the table and writes the report.
pub fn run(arguments: QuickstartArgs) -> Result<()> {
    let QuickstartArgs { out, seed, epochs, device } = arguments;
    let (out, epochs) = (&out, epochs.unwrap_or(EPOCHS));
    let device = device.resolve()?.device;
    let images = draw(&out.join("butterflies"), seed)?;

    let linear = Trainer::new(config("linear", &images, epochs, seed)?, &device)?;
    eprintln!("measuring the bare backbone (zero-shot)");
    let zero_shot = linear.measure_zero_shot()?;
    let (linear_folder, linear_outcome) = train(&linear, &out.join("linear"), "linear ")?;
    let method = Trainer::new(config("vptsp-g+bitfit", &images, epochs, seed)?, &device)?;
    let (folder, outcome) = train(&method, &out.join("vptsp-g"), "VPTSP-G")?;

    let runs: Vec<ReportedRun<'_>> = [
        ("Linear", "only a new head", &linear_folder, &linear_outcome),
        ("VPTSP-G", "prompts, biases, semantic proxies", &folder, &outcome),
    ]
    .into_iter()
    .filter_map(|(name, note, folder, outcome)| {
        let (measured, training) = (outcome.measured.as_ref()?, outcome.training.as_ref()?);
        Some(ReportedRun { name, note, folder, facts: &outcome.facts, training, measured, seconds: outcome.seconds })
    })
    .collect();
    print_table(&zero_shot, &runs);
    let Some(story) = runs.last().map(|run| RunStory(run.training)) else { return Ok(()) };

    let report = RunReport {
        title: "Butterflies by species".into(),
        subtitle: format!(
            "{BUILT_IN} taught with drawn butterflies, as photographic negatives: {}; measured on {}",
            story.trained_on(),
            story.measured_on()
        ),
        config: method.config(),
        zero_shot: &zero_shot,
        runs,
        test: method.test_set(),
        encoder: Some((&outcome.encoder, method.preprocess())),
        next_steps: next_steps(out),
    };
    let path = out.join("report.html");
    folder.write(&path, report.build()?.to_html().as_bytes())?;
    println!("\nreport: {} (open it in a browser)", path.display());
    println!("\nnext:");
    for (what, command) in next_steps(out) {
        println!("  {what}\n    {command}");
    }
    Ok(())
}

fn next_steps(out: &Path) -> Vec<(String, String)> {
    let serve = format!("kinsight serve --images {0}/butterflies --run {0}/vptsp-g", out.display());
    [
        ("Search the butterflies in a browser with the new model.", serve.as_str()),
        (
            "Train on your own photos: a folder with one subfolder per class; 10 images in each are enough to start.",
            "kinsight train --backbone deit_small --data PHOTOS --out runs/mine",
        ),
        ("Evaluate the run on the classes it was not trained on.", "kinsight eval --run runs/mine"),
        ("Compare with the bare backbone.", "kinsight eval --backbone deit_small --data PHOTOS"),
    ]
    .map(|(what, command)| (what.to_string(), command.to_string()))
    .to_vec()
}

/// Draws the species into `folder`, unless they are there already.
fn draw(folder: &Path, seed: u64) -> Result<PathBuf> {
    let spec = SyntheticSpec {
        seed,
        classes: FIRST_SPECIES..FIRST_SPECIES + 2 * TRAIN_SPECIES,
        images_per_class: IMAGES_PER_SPECIES,
        size_px: SIZE_PX,
        // The backbone has seen positives alone: like a user's own images, these are not quite what it knows.
        film: Film::Negative,
    };
    let bar = counting_bar("drawing ", spec.total_images() as usize, "butterflies");
    let drawn = write_folder(&spec, folder, |progress| bar.set_position(progress.done));
    bar.finish_and_clear();
    drawn?;
    Ok(folder.to_path_buf())
}

fn config(method: &str, images: &Path, epochs: usize, seed: u64) -> Result<TrainConfig> {
    let mut overrides = Overrides::default();
    let path = images.display().to_string();
    let settings: [(&str, Value); 11] = [
        ("method", method.into()),
        ("backbone", BUILT_IN.into()),
        ("data.path", path.into()),
        ("seed", (seed as i64).into()),
        ("epochs", (epochs as i64).into()),
        ("sampling.batch_size", 32.into()),
        ("sampling.images_per_class", 4.into()),
        ("optimizer.lr", 2e-3.into()),
        ("optimizer.lr_proxies", 2e-2.into()),
        ("eval_every", 4.into()),
        ("data.min_crop_area", 0.4.into()),
    ];
    for (key, value) in settings {
        overrides.set(key, value);
    }
    let mut config = overrides.load()?;
    // Species are drawn at random, so any half will do; a random one needs no luck with names.
    config.data.split = Some(SplitRule::RandomHalf { seed });
    Ok(config)
}

/// Trains into `folder`.
fn train(trainer: &Trainer, folder: &Path, title: &str) -> Result<(RunFolder, Outcome)> {
    let mut progress = TrainProgress::new(title);
    let outcome = trainer.run(folder, true, stop_flag()?, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    if outcome.measured.is_none() {
        return stopped("a checkpoint is saved, and the same command goes on from it");
    }
    Ok((RunFolder::at(folder), outcome))
}

fn print_table(zero_shot: &kinsight_train::evaluation::Measured, runs: &[ReportedRun<'_>]) {
    println!(
        "\n{:<12} {:>12} {:>8} {:>10} {:>8} {:>8}",
        "method", "parameters", "share", "Recall@1", "MAP@R", "seconds"
    );
    let scores = |measured: &kinsight_train::evaluation::Measured| {
        let recall = 100.0 * measured.evaluation.recall_at(1).unwrap_or_default();
        format!("{recall:>8.1} % {:>6.1} %", 100.0 * measured.evaluation.map_at_r())
    };
    println!("{:<12} {:>12} {:>8} {} {:>8}", "zero-shot", "0", "-", scores(zero_shot), "-");
    for run in runs {
        println!(
            "{:<12} {:>12} {:>6.1} % {} {:>8.0}",
            run.name,
            grouped(run.facts.trainable),
            100.0 * run.facts.trainable as f64 / run.facts.parameters.max(1) as f64,
            scores(run.measured),
            run.seconds
        );
    }
    if let Some(run) = runs.last() {
        println!("measured on {} images of {}", zero_shot.labels.len(), RunStory(run.training).measured_on());
    }
}
