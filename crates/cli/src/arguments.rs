//! Arguments as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::backbones::BackbonesArgs;
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
    /// Fine-tune a backbone on images of labelled classes
    Train(TrainArgs),
    /// Measure a run, or a bare backbone, by Recall@K and MAP@R
    Eval(EvalArgs),
    /// Look for duplicates, leakage, wrong labels and broken files in a data set
    Audit(crate::commands::audit::AuditArgs),
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
    /// Folder of class folders, folder with train/ and test/, or CSV with path,label,split
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Run folder to make
    #[arg(long, required_unless_present = "print_config")]
    pub out: Option<PathBuf>,
    /// TOML with settings; flags go over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Seed of every random choice; same seed, same result, whatever the number of threads
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
    pub compute: ComputeArgs,
}

/// How blocks are computed.
#[derive(Debug, Args)]
pub struct ComputeArgs {
    /// Implementation of the transformer block
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Arithmetic of the matrix products
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionArg>,
    /// What is kept between forward and backward: `block` takes less memory and more time
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointArg>,
    /// Threads to compute with; one a core if not given
    #[arg(long)]
    pub threads: Option<usize>,
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
    /// Keep all activations
    None,
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

const EVAL_EXAMPLES: &str = "\
Examples:
  The test classes of a run:
    kinsight eval --run runs/first

  A bare backbone, zero-shot, on every class of a folder:
    kinsight eval --backbone deit_tiny --data photos/ --part all

  For a script:
    kinsight eval --run runs/first --recall-at 1,10,100 --json";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = EVAL_EXAMPLES, args_override_self = true)]
pub struct EvalArgs {
    /// Run folder with a fine-tuning
    #[arg(long, required_unless_present = "backbone")]
    pub run: Option<PathBuf>,
    /// Backbone: alone for zero-shot, or in place of the one a run names
    #[arg(long)]
    pub backbone: Option<String>,
    /// Images [default: those of the run]
    #[arg(long, required_unless_present = "run")]
    pub data: Option<PathBuf>,
    /// Which part of the images
    #[arg(long, value_enum, default_value = "test")]
    pub part: PartArg,
    /// Which classes train [default: as in the run, or by the path]
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Seed of --split random-half
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// K of Recall@K
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_name = "K,..")]
    pub recall_at: Vec<usize>,
    /// How many of the worst and best classes to list
    #[arg(long, default_value_t = 5)]
    pub classes: usize,
    /// Bound on the working memory of the search, in MiB
    #[arg(long, default_value_t = 512)]
    pub max_memory_mb: usize,
    /// Images a forward pass
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
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
