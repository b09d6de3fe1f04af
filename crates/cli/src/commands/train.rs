//! `kinsight train`

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use clap::error::ErrorKind;
use kinsight_model::TrainingFacts;
use kinsight_train::evaluation::Measured;
use kinsight_train::run::{ReportedRun, RunFolder, RunReport, RunStory};
use kinsight_train::trainer::{Outcome, Trainer};

use super::settings::{train_config, use_threads};
use crate::arguments::{Cli, TrainArgs};
use crate::progress::TrainProgress;
use crate::{commands::eval, interrupt};

/// Trains, and prints the final metrics.
pub fn run(arguments: &TrainArgs) -> Result<()> {
    use_threads(arguments.compute.threads)?;
    let config = train_config(arguments)?;
    if arguments.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    let Some(out) = &arguments.out else {
        // Not for clap to require: `kinsight plan` takes the same arguments and has no use for it.
        let message = "the run folder is missing: --out RUN\n";
        Cli::command().error(ErrorKind::MissingRequiredArgument, message).exit()
    };
    if config.data.path.as_os_str().is_empty() {
        anyhow::bail!("no images given: --data DIR, or data.path in the configuration");
    }
    let device = arguments.compute.device.open()?;
    let trainer = Trainer::new(config, &device)?;
    let stop = interrupt::stop_flag()?;
    let mut progress = TrainProgress::new("training");
    let outcome = trainer.run(out, arguments.resume, &stop, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    if let (Some(measured), Some(training)) = (&outcome.measured, &outcome.training) {
        println!("{} on {}", trainer.config().method, RunStory(training).measured_on());
        eval::print_metrics(&measured.evaluation);
        write_report(&trainer, out, &outcome, measured, training)?;
        eprintln!(
            "trained in {:.0} s; see {}, measure again with `kinsight eval --run {}`",
            outcome.seconds,
            out.join("report.html").display(),
            out.display()
        );
    }
    Ok(())
}

/// Writes the run's `report.html`, with the bare backbone's figures to compare with.
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
            "Measure the run again, or on other images.".to_string(),
            format!("kinsight eval --run {} --data FOLDER", out.display()),
        )],
    };
    folder.write(&folder.report(), report.build()?.to_html().as_bytes())?;
    Ok(())
}
