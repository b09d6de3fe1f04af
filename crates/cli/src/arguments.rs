//! Arguments as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kinsight_model::Checkpoint;
use kinsight_train::bank::BankStorage;

use crate::commands::backbones::BackbonesArgs;
use crate::commands::conveniences::ConvenienceArgs;
use crate::commands::data::DataArgs;
use crate::commands::embed::EmbedArgs;
use crate::commands::eval::EvalArgs;
use crate::commands::export::ExportArgs;
use crate::context::{ComputeArgs, DeviceArgs, one_of};

/// Teach a frozen vision transformer your notion of similarity, then search with it.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try everything in about three minutes: offline, with drawn images and the built-in backbone
    Quickstart(QuickstartArgs),
    /// Fine-tune a backbone on images of labeled classes
    Train(TrainArgs),
    /// Measure a run, a bare backbone or any embeddings: Recall@K, MAP@R and more
    Eval(EvalArgs),
    /// Embed images into a file, resumable
    Embed(EmbedArgs),
    /// Check that a known data set is complete
    Data(DataArgs),
    /// Find duplicates, leakage, wrong labels and broken files in a dataset
    Audit(crate::commands::audit::AuditArgs),
    /// Train several methods with several seeds; mark the differences that other classes and seeds should show, too
    Compare(crate::commands::compare::CompareArgs),
    /// Estimate what a run will take from a few steps: parameters, memory, disk, time
    Plan(crate::commands::plan::PlanArgs),
    /// Index images for search, and keep the index up to date
    Index(crate::commands::index::IndexArgs),
    /// Find the indexed images most similar to query images
    Search(crate::commands::search::SearchArgs),
    /// Measure which scores mean duplicate, same or similar
    Calibrate(crate::commands::calibrate::CalibrateArgs),
    /// Serve searches over HTTP, with a web page
    Serve(crate::commands::serve::ServeArgs),
    /// Show why a model finds two images similar
    Explain(crate::commands::explain::ExplainArgs),
    /// Pretrain the built-in backbone again from drawn images
    Pretrain(PretrainArgs),
    /// Write a fine-tuned model for timm, transformers or ONNX Runtime
    Export(ExportArgs),
    /// List the backbones that can be used by name
    Backbones(BackbonesArgs),
    /// List the fine-tuning methods
    Methods,
}

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub struct QuickstartArgs {
    /// Folder for the images, the runs and the report
    #[arg(long, default_value = "kinsight-quickstart")]
    pub out: PathBuf,
    /// Seed of images and training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  The default method on a folder of class folders; the first half of the classes trains:
    kinsight train --backbone deit_small --data photos/ --out runs/first

  The paper's settings for a dataset:
    kinsight train --config configs/cub_vit_small.toml --data CUB_200_2011/images --out runs/cub

  A baseline with two settings changed:
    kinsight train --method vpt+bitfit --backbone deit_tiny --data photos/ --out runs/vpt \\
        --epochs 10 --set optimizer.lr=0.001 --set tuning.prompts.count=20

  Select the model on a fifth of the training classes, and stop when it no longer improves on them:
    kinsight train --backbone deit_small --data photos/ --out runs/selected \\
        --validation-share 0.2 --keep best --early-stopping 5

  Resume after Ctrl-C, a crash or a power cut:
    kinsight train ... --out runs/first --resume";

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = TRAIN_EXAMPLES, args_override_self = true)]
pub struct TrainArgs {
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Run folder to create
    #[arg(long, required_unless_present = "print_config")]
    pub out: Option<PathBuf>,
    /// Continue the run in --out from its last checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Print the resulting settings and exit
    #[arg(long)]
    pub print_config: bool,
}

/// What decides a run.
#[derive(Debug, Args)]
pub struct SettingArgs {
    /// Method, parts joined by + (see `kinsight methods`) [default: vptsp-g+bitfit]
    #[arg(long)]
    pub method: Option<String>,
    /// Name (see `kinsight backbones`), path of a safetensors file or folder, or OWNER/NAME on the Hugging Face Hub
    #[arg(long)]
    pub backbone: Option<String>,
    /// Images: folder of class folders, folder with train/ and test/, folder of a published dataset, or CSV/Parquet with path,label,split
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Published dataset in --data: cub, cars, sop, in_shop, inaturalist [default: recognized by its files]
    #[arg(long, value_parser = crate::commands::images::layout, conflicts_with = "split")]
    pub dataset: Option<kinsight_data::Layout>,
    /// Crop images to the dataset's annotated boxes
    #[arg(long)]
    pub boxes: bool,
    /// TOML with settings; flags win over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Seed of every random choice; the same seed gives the same result with any number of threads
    #[arg(long)]
    pub seed: Option<u64>,
    /// Batch size
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Images of each class in a batch
    #[arg(long)]
    pub images_per_class: Option<usize>,
    /// Learning rate of everything except the learned proxies
    #[arg(long)]
    pub lr: Option<f64>,
    /// Learning rate of the learned proxies
    #[arg(long)]
    pub lr_proxies: Option<f64>,
    /// Size of the embedding [default: the backbone's width, at most 512]
    #[arg(long)]
    pub embedding: Option<usize>,
    /// Input size in pixels [default: the backbone's]
    #[arg(long)]
    pub image_size: Option<usize>,
    /// Which classes to train on [default: depends on --data]
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Any setting by its key, such as optimizer.lr=0.001; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Store class prompts and their optimizer state in a memory bank: in RAM, or in a file of the run folder
    #[arg(long, value_parser = one_of::<BankStorage>(&[("ram", "In memory"), ("disk", "In a memory-mapped file")]))]
    pub bank: Option<BankStorage>,
    /// Omit timings from the run's files, so that equal runs write equal files
    #[arg(long)]
    pub deterministic: bool,
    #[command(flatten)]
    pub conveniences: ConvenienceArgs,
    #[command(flatten, next_help_heading = "Computing")]
    pub compute: TrainComputeArgs,
}

/// Where and how to compute in training.
#[derive(Debug, Args)]
pub struct TrainComputeArgs {
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Activations to keep for the backward pass: fewer need less memory and more time, with the same result
    #[arg(long, value_parser = one_of::<Checkpoint>(&[
        ("auto", "none for small batches, mlp for large ones"),
        ("none", "Keep all activations"),
        ("mlp", "Compute the MLP's hidden layer again: about 0.6 of the memory, a sixth more products"),
        ("block", "Keep block inputs, compute the rest again"),
    ]))]
    pub checkpoint: Option<Checkpoint>,
}

/// `--split`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SplitArg {
    /// Train on the first half of the class names
    FirstHalf,
    /// Train on a random half of the classes
    RandomHalf,
    /// Use the subfolders train/ and test/
    Folders,
    /// Use the column `split` of a CSV or Parquet file
    Csv,
}

/// `--part`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartArg {
    /// The test side of the split
    Test,
    /// The training side of the split
    Train,
    /// Both sides
    All,
}

/// Arguments of `pretrain`.
#[derive(Debug, Args)]
pub struct PretrainArgs {
    /// TOML file with the recipe
    #[arg(long, default_value = "configs/pretrain_nano.toml")]
    pub config: PathBuf,
    /// Folder for the drawn images, the checkpoints and the finished backbone
    #[arg(long, default_value = "kinsight-pretrain")]
    pub out: PathBuf,
    /// Continue from the last checkpoint
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub compute: TrainComputeArgs,
}
