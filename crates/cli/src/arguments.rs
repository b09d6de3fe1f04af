//! Arguments as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::backbones::BackbonesArgs;
use crate::commands::conveniences::ConvenienceArgs;
use crate::commands::data::DataArgs;
use crate::commands::device::DeviceArg;
use crate::commands::embed::EmbedArgs;
use crate::commands::eval::EvalArgs;
use crate::commands::export::ExportArgs;

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
    /// See it work in about three minutes: offline, with drawn images and the built-in backbone
    Quickstart(QuickstartArgs),
    /// Fine-tune a backbone on images of labeled classes
    Train(TrainArgs),
    /// Measure a run, a bare backbone or any embeddings: Recall@K, MAP@R and more
    Eval(EvalArgs),
    /// Turn images into a file of embeddings, resumable
    Embed(EmbedArgs),
    /// Check that a known data set is whole
    Data(DataArgs),
    /// Look for duplicates, leakage, wrong labels and broken files in a data set
    Audit(crate::commands::audit::AuditArgs),
    /// Train several methods with several seeds; mark the differences that other classes and seeds should show, too
    Compare(crate::commands::compare::CompareArgs),
    /// Tell what a run will take, from a few steps of it: parameters, memory, disk, time
    Plan(crate::commands::plan::PlanArgs),
    /// Make an index of images to search in, and keep it up to date
    Index(crate::commands::index::IndexArgs),
    /// Find the indexed images most like some query images
    Search(crate::commands::search::SearchArgs),
    /// Measure which scores mean duplicate, same or similar
    Calibrate(crate::commands::calibrate::CalibrateArgs),
    /// Answer searches over HTTP, with a web page
    Serve(crate::commands::serve::ServeArgs),
    /// Show why two pictures are similar to a model
    Explain(crate::commands::explain::ExplainArgs),
    /// Make the built-in backbone anew from drawn images
    Pretrain(PretrainArgs),
    /// Write a fine-tuned model for timm, transformers or ONNX Runtime
    Export(ExportArgs),
    /// List the backbones known by name
    Backbones(BackbonesArgs),
    /// List the fine-tuning methods
    Methods,
}

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub struct QuickstartArgs {
    /// Folder for images, runs and the report
    #[arg(long, default_value = "kinsight-quickstart")]
    pub out: PathBuf,
    /// Seed of images and training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Threads to compute with; one a core if not given
    #[arg(long)]
    pub threads: Option<usize>,
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  The method on a folder of class folders, first half of the classes for training:
    kinsight train --backbone deit_small --data photos/ --out runs/first

  One of the authors' published settings:
    kinsight train --config configs/cub_vit_small.toml --data CUB_200_2011/images --out runs/cub

  A baseline, with single settings changed:
    kinsight train --method vpt+bitfit --backbone deit_tiny --data photos/ --out runs/vpt \\
        --epochs 10 --set optimizer.lr=0.001 --set tuning.prompts.count=20

  Select the model on a fifth of the training classes, and stop when they no longer improve:
    kinsight train --backbone deit_small --data photos/ --out runs/selected \\
        --validation-share 0.2 --keep best --early-stopping 5

  Go on after Ctrl-C, a crash or a power cut:
    kinsight train ... --out runs/first --resume";

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = TRAIN_EXAMPLES, args_override_self = true)]
pub struct TrainArgs {
    /// Method, parts joined by + (see `kinsight methods`) [default: vptsp-g+bitfit]
    #[arg(long)]
    pub method: Option<String>,
    /// Registry name (see `kinsight backbones`), path of a safetensors file or folder, or OWNER/NAME on the hub
    #[arg(long)]
    pub backbone: Option<String>,
    /// Folder of class folders, folder with train/ and test/, a known data set's folder, or CSV/Parquet with path,label,split
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The data set whose layout --data has: cub, cars, sop, in_shop, inaturalist [default: recognized by its files]
    #[arg(long, value_parser = crate::commands::images::layout, conflicts_with = "split")]
    pub dataset: Option<kinsight_data::Layout>,
    /// Crop to the annotated boxes of the data set
    #[arg(long)]
    pub boxes: bool,
    /// Run folder to make
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// TOML with settings; flags go over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Seed of every random choice; same seed, same result, with any number of threads
    #[arg(long)]
    pub seed: Option<u64>,
    /// Images a batch
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Images of each class in a batch
    #[arg(long)]
    pub images_per_class: Option<usize>,
    /// Learning rate of all but the learned proxies
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
    /// Which classes train [default: by the path]
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Any setting by its key, as optimizer.lr=0.001; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep class prompts and their optimizer state in a memory bank: in memory, or in a file of the run folder
    #[arg(long, value_enum)]
    pub bank: Option<BankArg>,
    /// Continue the run in --out from its last checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Leave timings out of the run's files, so that two equal runs leave equal files
    #[arg(long)]
    pub deterministic: bool,
    /// Print the settings this command line amounts to, and stop
    #[arg(long)]
    pub print_config: bool,
    #[command(flatten)]
    pub conveniences: ConvenienceArgs,
    #[command(flatten, next_help_heading = "Computing")]
    pub compute: ComputeArgs,
}

/// `--bank`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum BankArg {
    /// In memory
    Ram,
    /// In a memory-mapped file
    Disk,
}

/// How blocks are computed.
#[derive(Debug, Args)]
pub struct ComputeArgs {
    /// Processor: cpu, or cuda, rocm, wgpu, vulkan, metal where built with that feature; cuda:1 for the second
    #[arg(long, default_value = "cpu", hide_default_value = true)]
    pub device: DeviceArg,
    /// Implementation of the transformer block
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Arithmetic of the matrix products
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionArg>,
    /// What is kept between forward and backward: less memory takes more time, the result is the same
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointArg>,
    /// Threads to compute with; one a core if not given
    #[arg(long)]
    pub threads: Option<usize>,
}

/// The model of an index, where it is or where it has moved to.
#[derive(Debug, Args)]
pub struct IndexModelArgs {
    /// Run folder [default: the model of the index]
    #[arg(long)]
    pub run: Option<PathBuf>,
    /// Backbone [default: the model of the index]
    #[arg(long)]
    pub backbone: Option<String>,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// `--engine`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EngineArg {
    /// Fused kernels on the CPU
    Fused,
    /// Tensor operations alone
    Composed,
}

/// `--precision`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrecisionArg {
    /// 32-bit floats
    F32,
    /// bfloat16 operands, 32-bit sums
    Bf16,
}

/// `--checkpoint`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CheckpointArg {
    /// none for small batches, mlp for large ones
    Auto,
    /// Keep all activations
    None,
    /// Compute the MLP's hidden layer again: about 0.6 of the memory, a sixth more products
    Mlp,
    /// Keep block inputs, compute the rest again
    Block,
}

/// `--split`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SplitArg {
    /// First half of the class names trains
    FirstHalf,
    /// A half drawn with the seed trains
    RandomHalf,
    /// Subfolders train/ and test/
    Folders,
    /// Column `split` of a CSV
    Csv,
}

/// `--part`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartArg {
    /// Classes that training does not see
    Test,
    /// Classes that training sees
    Train,
    /// All classes
    All,
}

/// Arguments of `pretrain`.
#[derive(Debug, Args)]
pub struct PretrainArgs {
    /// Recipe
    #[arg(long, default_value = "configs/pretrain_nano.toml")]
    pub config: PathBuf,
    /// Folder for drawn images, checkpoints and the finished backbone
    #[arg(long, default_value = "kinsight-pretrain")]
    pub out: PathBuf,
    /// Continue from the last checkpoint
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
}
