//! `kinsight index`: making an index of images and keeping it up to date.

mod export;
mod maintain;
mod migrate;
mod relocate;
mod syncing;
mod update;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::context::{ComputeArgs, IndexModelArgs, ModelArgs};

pub use syncing::sync;
pub use update::index_folder;

const EXAMPLES: &str = "\
Examples:
  Index a folder of images with a fine-tuned model; run it again after changes to the folder:
    kinsight index photos/ --run runs/first --index photos.index

  With a bare backbone, and fields for filters from a CSV with the columns path,label,color,price:
    kinsight index catalog.csv --backbone deit_small --index catalog.index

  Inspect it, verify it, and migrate it to a better model while a server keeps using it:
    kinsight index stats --index photos.index
    kinsight index check --index photos.index
    kinsight index migrate --index photos.index --run runs/second";

/// Arguments of `index`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct IndexArgs {
    #[command(subcommand)]
    command: Option<IndexCommand>,
    #[command(flatten)]
    update: UpdateArgs,
}

#[derive(Debug, Subcommand)]
enum IndexCommand {
    /// Add single images or folders; nothing is removed
    Add(AddArgs),
    /// Remove images by path, id or filter
    Remove(RemoveArgs),
    /// Print what is in an index
    Stats(StatsArgs),
    /// Verify every file of an index
    Check(CheckArgs),
    /// Free the space of removed and replaced images
    Compact(CompactArgs),
    /// Export vectors and fields for other programs
    Export(ExportArgs),
    /// Embed everything again with another model, then switch to it in one step
    Migrate(MigrateArgs),
    /// Say where the images are, after their folder was moved
    Relocate(relocate::RelocateArgs),
}

/// Arguments of `index DIR`.
#[derive(Debug, Args)]
struct UpdateArgs {
    /// Folder of images, or CSV with a column path; other columns become fields for filters
    #[arg(required = true)]
    images: Option<PathBuf>,
    /// Folder of the index; created if it does not exist
    #[arg(long, required = true)]
    index: Option<PathBuf>,
    /// Run folder with a fine-tuning [default: the index's model]
    #[arg(long)]
    run: Option<PathBuf>,
    /// Backbone, for zero-shot embeddings or to replace the path stored in --run
    #[arg(long)]
    backbone: Option<String>,
    /// Batch size; each batch is committed before the next
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Number of images up to which search is exact; beyond it a graph is built [default: by the width, 260000 at 384]
    #[arg(long)]
    exact_up_to: Option<usize>,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Arguments of `index add`.
#[derive(Debug, Args)]
struct AddArgs {
    /// Image files, or folders of images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// Folder that the stored paths are relative to [default: each image's folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// Label of these images [default: the first folder below the root]
    #[arg(long)]
    label: Option<String>,
    /// Batch size; each batch is committed before the next
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: IndexModelArgs,
}

/// Arguments of `index remove`.
#[derive(Debug, Args)]
struct RemoveArgs {
    /// Ids, or paths of images, as files or as stored in the index
    #[arg(required_unless_present = "condition")]
    images: Vec<String>,
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// Images that match this filter, such as 'label = shoe and width < 100'
    #[arg(long = "where", value_name = "FILTER")]
    condition: Option<String>,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `index stats`.
#[derive(Debug, Args)]
struct StatsArgs {
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `index check`.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The index
    #[arg(long)]
    index: PathBuf,
}

/// Arguments of `index compact`.
#[derive(Debug, Args)]
struct CompactArgs {
    /// The index
    #[arg(long)]
    index: PathBuf,
}

/// Arguments of `index export`.
#[derive(Debug, Args)]
struct ExportArgs {
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// File to write: .parquet holds vectors and fields; .npy the vectors, and a .csv next to it the fields
    #[arg(long)]
    out: PathBuf,
    /// Only images that match this filter
    #[arg(long = "where", value_name = "FILTER")]
    condition: Option<String>,
}

/// Arguments of `index migrate`.
#[derive(Debug, Args)]
struct MigrateArgs {
    /// The index
    #[arg(long)]
    index: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Drop images that are no longer where they were indexed from
    #[arg(long)]
    allow_missing: bool,
    /// Batch size; each batch is committed before the next
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Does what was asked.
pub fn run(arguments: IndexArgs) -> Result<()> {
    match arguments.command {
        Some(IndexCommand::Add(arguments)) => update::add(arguments),
        Some(IndexCommand::Remove(arguments)) => maintain::remove(&arguments),
        Some(IndexCommand::Stats(arguments)) => maintain::stats(&arguments),
        Some(IndexCommand::Check(arguments)) => maintain::check(&arguments),
        Some(IndexCommand::Compact(arguments)) => maintain::compact(&arguments),
        Some(IndexCommand::Export(arguments)) => export::run(&arguments),
        Some(IndexCommand::Migrate(arguments)) => migrate::run(arguments),
        Some(IndexCommand::Relocate(arguments)) => relocate::run(&arguments),
        None => update::run(arguments.update),
    }
}
