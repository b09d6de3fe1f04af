//! `kinsight train`

use anyhow::{Context, Result};
use burn::tensor::Device;
use kinsight_train::trainer::Trainer;

use super::settings::{train_config, use_threads};
use crate::arguments::TrainArgs;
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
    let out = arguments.out.as_ref().context("--out is missing")?;
    if config.data.path.as_os_str().is_empty() {
        anyhow::bail!("no images given: --data DIR, or data.path in the configuration");
    }
    let device = Device::flex();
    let trainer = Trainer::new(config, &device)?;
    let stop = interrupt::stop_flag()?;
    let mut progress = TrainProgress::new("training");
    let outcome = trainer.run(out, arguments.resume, &stop, &mut |event| progress.on(&event));
    progress.finish();
    let outcome = outcome?;
    if let Some(measured) = &outcome.measured {
        println!("{} on {} unseen classes", trainer.config().method, outcome.facts.test.1);
        eval::print_metrics(&measured.evaluation);
        eprintln!(
            "trained in {:.0} s; the fine-tuning is {}, measure it with `kinsight eval --run {}`",
            outcome.seconds,
            out.join("model.safetensors").display(),
            out.display()
        );
    }
    Ok(())
}
