//! `kinsight eval`: how well images of a class find each other.

mod material;
mod post;
mod print;
mod selection;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use kinsight_model::embedder::Views;
use kinsight_retrieval::{BootstrapUnit, EvalConfig, Evaluation, RetrievalError, evaluate_roles};

pub use print::print_basic as print_metrics;

use self::material::Material;
use self::post::{PostArg, PostSettings};
use self::print::Results;
use self::selection::Selection;
use super::images::ImageArgs;
use crate::context::ComputeArgs;

const EXAMPLES: &str = "\
Examples:
  The test classes of a run:
    kinsight eval --run runs/first

  A bare backbone, zero-shot, on every class of a folder:
    kinsight eval --backbone deit_tiny --data photos/ --part all

  All metrics, and their list:
    kinsight eval --run runs/first --metrics all
    kinsight eval --metrics list

  A published dataset, by its annotations:
    kinsight eval --backbone deit_small --data Stanford_Online_Products/ --recall-at 1,10,100,1000

  Embeddings from another program, with labels in labels.npy:
    kinsight eval --embeddings rows.npy --labels labels.npy --metrics all

  Post-processing and test-time augmentation, next to the plain figures:
    kinsight eval --run runs/first --post aqe,dba,pca-whiten,k-reciprocal --tta flip

  For a script:
    kinsight eval --run runs/first --recall-at 1,10,100 --json";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct EvalArgs {
    /// Run folder with a fine-tuning
    #[arg(long, required_unless_present_any = ["backbone", "embeddings", "metrics"])]
    run: Option<PathBuf>,
    /// Backbone, for zero-shot embeddings or to replace the path stored in --run
    #[arg(long)]
    backbone: Option<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Evaluate these embeddings: .npy, .safetensors or .parquet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "backbone", "data"])]
    embeddings: Option<PathBuf>,
    /// Their labels: .npy, .safetensors, .parquet or .csv [default: in the file or next to it]
    #[arg(long, value_name = "FILE", requires = "embeddings")]
    labels: Option<PathBuf>,
    /// A separate gallery, which --embeddings search
    #[arg(long, value_name = "FILE", requires = "embeddings")]
    gallery: Option<PathBuf>,
    /// Labels of the gallery [default: in the file or next to it]
    #[arg(long, value_name = "FILE", requires = "gallery")]
    gallery_labels: Option<PathBuf>,
    /// Training embeddings, to fit --post pca-whiten
    #[arg(long, value_name = "FILE", requires = "embeddings")]
    training_embeddings: Option<PathBuf>,
    /// Tensor or column of the embeddings, if a file has several
    #[arg(long, value_name = "NAME")]
    embedding_column: Option<String>,
    /// Tensor or column of the labels
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Metrics to show, or `all`; `list` prints their names; recall,map@r if not given
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    metrics: Vec<String>,
    /// K of Recall@K, Precision@K and nDCG@K
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_name = "K,..")]
    recall_at: Vec<usize>,
    /// Bootstrap resamples for the 95 % intervals; 0 for none
    #[arg(long, default_value_t = 1000)]
    bootstrap: usize,
    /// What the bootstrap resamples
    #[arg(long, value_enum, default_value = "classes")]
    bootstrap_unit: UnitArg,
    /// Also report these post-processing methods, each on its own
    #[arg(long, value_enum, value_delimiter = ',')]
    post: Vec<PostArg>,
    /// Neighbors of --post dba and aqe
    #[arg(long, default_value_t = 5)]
    post_k: usize,
    /// Exponent of the similarity in --post aqe
    #[arg(long, default_value_t = 3.0)]
    post_alpha: f64,
    /// Average the embeddings of several views of each image
    #[arg(long, value_enum, value_delimiter = ',')]
    tta: Vec<TtaArg>,
    /// Number of worst and best classes to list
    #[arg(long, default_value_t = 5)]
    classes: usize,
    /// Maximum working memory of the search, in MiB
    #[arg(long, default_value_t = 512)]
    max_memory_mb: usize,
    /// Batch size
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

impl EvalArgs {
    /// Whether training embeddings are needed.
    fn whitens(&self) -> bool {
        self.post.contains(&PostArg::PcaWhiten)
    }
}

/// `--tta`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TtaArg {
    /// The mirror image
    Flip,
    /// 7/8 and 5/4 of the size before the center crop
    Scales,
}

impl TtaArg {
    /// What the embedder does for them.
    pub fn views(asked: &[Self]) -> Views {
        Views { flip: asked.contains(&Self::Flip), scales: asked.contains(&Self::Scales) }
    }
}

/// `--bootstrap-unit`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UnitArg {
    /// Classes with all their queries: how much the result would vary with other classes
    Classes,
    /// Queries: how much it would vary with other images of these classes
    Queries,
}

/// Measures and prints.
pub fn run(arguments: &EvalArgs) -> Result<()> {
    if arguments.metrics.iter().any(|name| name == "list") {
        selection::print_list();
        return Ok(());
    }
    let context = arguments.compute.resolve()?;
    let selection = Selection::parse(&arguments.metrics)?;
    let material = match &arguments.embeddings {
        Some(path) => material::from_files(arguments, path)?,
        None => material::from_model(arguments, &context)?,
    };
    let unit = match arguments.bootstrap_unit {
        UnitArg::Classes => BootstrapUnit::Class,
        UnitArg::Queries => BootstrapUnit::Query,
    };
    let config = selection.config(&arguments.recall_at, arguments.bootstrap, unit, arguments.max_memory_mb << 20);
    let plain = post::plain(&material.embeddings, material.gallery.as_ref(), &material, &config)?;
    let settings = PostSettings { k: arguments.post_k, alpha: arguments.post_alpha };
    // Clusters and pairs are of the embeddings, not of what is done with them.
    let lean = EvalConfig { clustering: None, false_match_rates: None, ..config.clone() };
    let processed = arguments
        .post
        .iter()
        .map(|post| Ok((post.name(), post.evaluate(&material, settings, &lean)?)))
        .collect::<Result<Vec<_>>>()?;
    let results = Results { plain, processed, groups: groups(&material, &lean)? };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&print::as_json(&material, &results, arguments.classes))?);
        return Ok(());
    }
    println!("{} on {} images of {} classes", material.name, material.labels.len(), material.classes());
    if results.plain.queries != material.labels.len() || results.plain.gallery != material.labels.len() {
        println!("  {} queries search a gallery of {}", results.plain.queries, results.plain.gallery);
    }
    print::print_figures(&results.plain, &selection);
    print::print_processed(&results, &selection);
    print::print_groups(&results.groups);
    print::print_classes("worst classes", &results.plain.worst_classes(arguments.classes), &material);
    print::print_classes("best classes", &results.plain.best_classes(arguments.classes), &material);
    Ok(())
}

/// Each group on its own: its queries search its gallery. Groups in which no query can be answered are left out.
fn groups(material: &Material, config: &EvalConfig) -> Result<Vec<(String, Evaluation)>> {
    let mut found = Vec::new();
    for (group, name) in (0_u32..).zip(&material.protocol.group_names) {
        let of_group = |queries: bool| -> Vec<usize> {
            let rows = post::roles(material, queries).into_iter();
            rows.filter(|&row| material.protocol.groups.get(row) == Some(&group)).collect()
        };
        let (queries, gallery) = (of_group(true), of_group(false));
        if queries.is_empty() || gallery.is_empty() {
            continue;
        }
        match evaluate_roles(&material.embeddings, &material.labels, &queries, &gallery, config) {
            Ok(evaluation) => found.push((name.clone(), evaluation)),
            Err(RetrievalError::Empty { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
