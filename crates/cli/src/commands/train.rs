//! `kinsight train`

use std::path::Path;

use anyhow::{Context, Result};
use kinsight_model::TrainingFacts;
use kinsight_train::evaluation::Measured;
use kinsight_train::run::{ReportedRun, RunFolder, RunReport, RunStory};
use kinsight_train::trainer::{Outcome, Trainer};

use super::settings::require_images;
use crate::arguments::TrainArgs;
use crate::commands::eval;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::TrainProgress;

/// Trains, and prints the final metrics.
pub fn run(arguments: TrainArgs) -> Result<()> {
    let TrainArgs { settings, out, resume, print_config } = arguments;
    let (config, context) = settings.resolve()?;
    if print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    require_images(&config)?;
    // Clap asks for --out wherever the settings are not only printed.
    let out = &out.context("no run folder given: use --out RUN")?;
    let trainer = Trainer::new(config, &context.device)?;
    let mut progress = TrainProgress::new("training");
    let outcome = trainer.run(out, resume, stop_flag()?, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    let (Some(measured), Some(training)) = (&outcome.measured, &outcome.training) else {
        return stopped("a checkpoint is saved, and the same command with --resume goes on from it");
    };
    println!("{} on {}", trainer.config().method, RunStory(training).measured_on());
    eval::print_metrics(&measured.evaluation);
    write_report(&trainer, out, &outcome, measured, training)?;
    eprintln!(
        "trained in {:.0} s; report: {}; evaluate again with `kinsight eval --run {}`",
        outcome.seconds,
        out.join("report.html").display(),
        out.display()
    );
    Ok(())
}

/// Writes the run's `report.html`, with the bare backbone's figures for comparison.
fn write_report(
    trainer: &Trainer,
    out: &Path,
    outcome: &Outcome,
    measured: &Measured,
    training: &TrainingFacts,
) -> Result<()> {
    let folder = RunFolder::at(out);
    let zero_shot = trainer.measure_zero_shot()?;
    let config = trainer.config();
    let data = config.data.path.file_name().unwrap_or_default().to_string_lossy().to_string();
    let story = RunStory(training);
    let report = RunReport {
        title: format!("{} on {data}", config.method),
        subtitle: format!(
            "{} taught with {}, measured on {}",
            trainer.backbone().name,
            story.trained_on(),
            story.measured_on()
        ),
        config,
        zero_shot: &zero_shot,
        runs: vec![ReportedRun {
            name: &config.method,
            note: "",
            folder: &folder,
            facts: &outcome.facts,
            training,
            measured,
            seconds: outcome.seconds,
        }],
        test: trainer.test_set(),
        encoder: Some((&outcome.encoder, trainer.preprocess())),
        next_steps: vec![(
            "Evaluate the run again, or on other images.".to_string(),
            format!("kinsight eval --run {} --data FOLDER", out.display()),
        )],
    };
    folder.write(&folder.report(), report.build()?.to_html().as_bytes())?;
    Ok(())
}
