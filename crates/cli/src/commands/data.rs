//! `kinsight data`: is a known data set whole?

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use kinsight_data::Layout;
use kinsight_data::dataset::official::{LayoutCheck, check};
use serde_json::json;

use super::images::layout;
use crate::progress::grouped;

const EXAMPLES: &str = "\
Examples:
  kinsight data check cub CUB_200_2011/
  kinsight data check sop Stanford_Online_Products/ --json";

/// Arguments of `data`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Check a dataset's number of images and classes against the published ones, and list missing files
    Check(CheckArgs),
    /// List the published datasets and the files their folders must hold
    List,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Dataset: cub, cars, sop, in_shop, inaturalist
    #[arg(value_parser = layout)]
    dataset: Layout,
    /// Its folder, or the one above it
    folder: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Missing files that are named one by one.
const NAMED: usize = 10;

/// Checks; exit code 1 if something is missing or differs.
pub fn run(arguments: &DataArgs) -> Result<()> {
    match &arguments.command {
        DataCommand::List => {
            for layout in Layout::ALL {
                println!("{:<12} {}: {}", layout.name(), layout.title(), layout.expected_files());
            }
            Ok(())
        }
        DataCommand::Check(arguments) => {
            let found = check(arguments.dataset, &arguments.folder)?;
            if arguments.json {
                let result = json!({ "complete": found.is_complete(), "check": found });
                println!("{}", serde_json::to_string_pretty(&result)?);
            } else {
                print(&found);
            }
            anyhow::ensure!(
                found.is_complete(),
                "{} is not a complete copy of {}",
                found.folder.display(),
                arguments.dataset.title()
            );
            Ok(())
        }
    }
}

fn print(found: &LayoutCheck) {
    println!("{} in {}", found.dataset.title(), found.folder.display());
    for part in &found.parts {
        let verdict = if part.agrees() { "as published" } else { "differs" };
        println!(
            "  {:<8} {:>9} images of {:>9}, {:>6} classes of {:>6}: {verdict}",
            part.name,
            grouped(part.images),
            grouped(part.published_images),
            grouped(part.classes),
            grouped(part.published_classes)
        );
    }
    match found.missing.len() {
        0 => println!("  no file is missing"),
        count => println!("  {} files are missing:", grouped(count)),
    }
    found.missing.iter().take(NAMED).for_each(|path| println!("    {}", path.display()));
    if found.missing.len() > NAMED {
        println!("    and {} more (all of them with --json)", grouped(found.missing.len() - NAMED));
    }
}
