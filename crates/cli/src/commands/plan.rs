//! `kinsight plan`: what a run will take, from a few steps of it.

use anyhow::Result;
use kinsight_train::trainer::{Rehearsal, Trainer};

use super::settings::require_images;
use crate::arguments::SettingArgs;
use crate::progress::{bytes, grouped};

const EXAMPLES: &str = "\
Examples:
  Before a long run, with its settings:
    kinsight plan --config configs/sop_vit_base.toml --data SOP --bank disk

  For a script:
    kinsight plan --method lora --backbone deit_small --data photos/ --json";

/// Arguments of `plan`: the settings of `train`, and how much to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Training steps to measure
    #[arg(long, default_value_t = 5)]
    pub steps: usize,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// Rehearses and prints.
pub fn run(arguments: PlanArgs) -> Result<()> {
    let PlanArgs { settings, steps, json } = arguments;
    let (config, context) = settings.resolve()?;
    require_images(&config)?;
    let trainer = Trainer::new(config, &context.device)?;
    eprintln!("measuring {} steps", steps.max(2));
    let plan = trainer.rehearse(steps)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&plan)?);
    } else {
        print(&trainer, &plan);
    }
    Ok(())
}

fn print(trainer: &Trainer, plan: &Rehearsal) {
    let config = trainer.config();
    let (images, classes) = plan.train;
    println!("{} on {}, {images} images of {classes} classes", config.method, trainer.backbone().name);
    let share = 100.0 * plan.trainable as f64 / plan.parameters.max(1) as f64;
    println!("  trained parameters  {} of {} ({share:.2} %)", grouped(plan.trainable), grouped(plan.parameters));
    println!("  saved               {} parameters, {}", grouped(plan.kept), bytes(plan.model_bytes));
    match plan.peak_memory_bytes {
        Some(peak) => println!("  peak memory         {}", bytes(peak)),
        None => println!("  peak memory         cannot be measured on this system"),
    }
    if plan.bank_ram_bytes + plan.bank_file_bytes > 0 {
        let place = if plan.bank_file_bytes > 0 { "of disk" } else { "of that memory" };
        println!("  prompt memory bank  {} {place}", bytes(plan.bank_ram_bytes + plan.bank_file_bytes));
    }
    println!(
        "  disk                {} (checkpoint {}, doubled while one is written)",
        bytes(plan.disk_bytes),
        bytes(plan.checkpoint_bytes)
    );
    println!("  step                {:.2} s", plan.seconds_per_step);
    println!("  epoch               {} ({} steps)", duration(plan.seconds_per_epoch), plan.steps_per_epoch);
    println!(
        "  {} epochs           {}, without evaluations",
        config.epochs,
        duration(plan.seconds_per_epoch * config.epochs as f64)
    );
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
