//! `kinsight embed`: images to a file of embeddings.
//!
//! Batch by batch through a journal next to the target: memory stays flat, and a killed job resumes to the same bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::Args;
use kinsight_data::dataset::image_files;
use kinsight_data::{DataError, Dataset, LoaderOptions, Split, SplitRule};
use kinsight_model::embedder::{EmbedOptions, embed_batches};
use kinsight_model::{EmbeddingModel, ModelError};
use kinsight_retrieval::io::{EmbeddingJournal, RowFacts, check_ending, write_embeddings};
use kinsight_retrieval::{Result as RetrievalResult, RetrievalError};
use serde_json::json;

use super::eval::TtaArg;
use crate::context::{ComputeArgs, ModelArgs};
use crate::interrupt::{stop_flag, stopped};
use crate::progress::counting_bar;

const EXAMPLES: &str = "\
Examples:
  A folder of class folders, with a run's model, to NumPy, with paths and labels in files next to it:
    kinsight embed --run runs/first photos/ --out photos.npy

  Any images, with a bare backbone, as one Parquet file:
    kinsight embed --backbone deit_small one.jpg more/ --out images.parquet

  Resume after Ctrl-C, a crash or a power cut: run the same command again.

  Evaluate the result:
    kinsight eval --embeddings photos.npy";

/// Arguments of `embed`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EmbedArgs {
    /// Image files, folders of images, folders of class folders, or lists (CSV, Parquet)
    #[arg(required = true, value_name = "IMAGES")]
    inputs: Vec<PathBuf>,
    /// Output file: .npy, .safetensors or .parquet
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Batch size; each batch is in the journal before the next begins
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Average the embeddings of several views of each image
    #[arg(long, value_enum, value_delimiter = ',')]
    tta: Vec<TtaArg>,
    /// Discard an unfinished job of the same name instead of resuming it
    #[arg(long)]
    restart: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Why the walk over the batches ended early.
#[derive(Debug)]
enum Ended {
    Failed(anyhow::Error),
    Stopped,
}

impl From<ModelError> for Ended {
    fn from(error: ModelError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RetrievalError> for Ended {
    fn from(error: RetrievalError) -> Self {
        Self::Failed(error.into())
    }
}

/// Embeds, and writes paths and labels next to the rows.
pub fn run(arguments: EmbedArgs) -> Result<()> {
    let EmbedArgs { inputs, out, model, batch_size, tta, restart, json, compute } = arguments;
    let context = compute.resolve()?;
    let stop = stop_flag()?;
    check_ending(&out)?;
    let (dataset, labeled) = dataset(&inputs)?;
    let dataset = Arc::new(dataset);
    let model = context.model(&model.resolve())?;
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        kinsight_files::create_dir_all(parent)?;
    }
    let mut folder = out.as_os_str().to_owned();
    folder.push(".journal");
    let folder = PathBuf::from(folder);
    if restart {
        EmbeddingJournal::discard(&folder)?;
    }
    // Unreadable images are skipped and named, however many they are.
    let options = EmbedOptions {
        batch_size: batch_size.max(1),
        loader: LoaderOptions { max_unreadable_fraction: 1.0, ..LoaderOptions::eval() },
        views: TtaArg::views(&tta),
    };
    let job = job(&model, &dataset, &options, labeled)?;
    let mut journal = EmbeddingJournal::open(&folder, &job, model.encoder.embedding_size())?;
    if journal.batches() > 0 {
        let done = (journal.batches() * options.batch_size).min(dataset.len());
        eprintln!("resuming after {done} of {} images", dataset.len());
    }
    if !walk(&model, &dataset, options, &mut journal, stop)? {
        return stopped("what was embedded is kept, and the same command goes on from there");
    }

    for (index, reason) in journal.skipped() {
        eprintln!("warning: skipped {}: {reason}", dataset.items[*index].path.display());
    }
    anyhow::ensure!(!journal.indices().is_empty(), "none of the {} images can be read", dataset.len());
    let written = write(&out, &journal, &dataset, labeled)?;
    let (rows, skipped, dim) = (journal.indices().len(), journal.skipped().to_vec(), journal.dim());
    journal.remove()?;
    let shown = |path: &PathBuf| path.display().to_string();
    if json {
        let summary = json!({
            "model": model.name,
            "embeddings": rows,
            "dim": dim,
            "labeled": labeled,
            "files": written.iter().map(shown).collect::<Vec<_>>(),
            "skipped": skipped.iter().map(|(index, reason)| json!({
                "path": dataset.items[*index].path.display().to_string(),
                "reason": reason,
            })).collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        println!("{rows} embeddings of {dim} numbers, {} images skipped", skipped.len());
        written.iter().for_each(|path| println!("  {}", shown(path)));
    }
    Ok(())
}

/// Embeds the batches that are missing; false if Ctrl-C stopped it.
fn walk(
    model: &EmbeddingModel,
    dataset: &Arc<Dataset>,
    options: EmbedOptions,
    journal: &mut EmbeddingJournal,
    stop: &AtomicBool,
) -> Result<bool> {
    let bar = counting_bar("embedding", dataset.len(), "images");
    let first = journal.batches();
    bar.set_position((first * options.batch_size) as u64);
    bar.reset_eta();
    let ended = embed_batches(&model.encoder, dataset, model.preprocess, options, first, &model.device, |batch| {
        journal.append(&batch.values, &batch.indices, &batch.skipped)?;
        bar.set_position(((batch.number + 1) * options.batch_size).min(dataset.len()) as u64);
        if stop.load(Ordering::Relaxed) { Err(Ended::Stopped) } else { Ok(()) }
    });
    bar.finish_and_clear();
    match ended {
        Ok(()) => Ok(true),
        Err(Ended::Stopped) => Ok(false),
        Err(Ended::Failed(error)) => Err(error),
    }
}

/// Everything that the rows depend on.
fn job(model: &EmbeddingModel, dataset: &Dataset, options: &EmbedOptions, labeled: bool) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "model": model.fingerprint,
        "compute": model.encoder.backbone.compute,
        "images": dataset.fingerprint(),
        "labeled": labeled,
        "batch_size": options.batch_size,
        "flip": options.views.flip,
        "scales": options.views.scales,
    }))?)
}

fn write(out: &Path, journal: &EmbeddingJournal, dataset: &Dataset, labeled: bool) -> RetrievalResult<Vec<PathBuf>> {
    let items = journal.indices().iter().map(|&index| &dataset.items[index]);
    let paths: Vec<String> = items.clone().map(|item| item.path.to_string_lossy().into_owned()).collect();
    let labels: Vec<i64> = if labeled { items.map(|item| i64::from(item.label)).collect() } else { Vec::new() };
    let class_names: &[String] = if labeled { &dataset.class_names } else { &[] };
    let facts = RowFacts { paths: &paths, labels: &labels, class_names };
    write_embeddings(out, journal.dim(), journal.chunks()?, &facts)
}

/// The images of all inputs, and whether they have labels: a single labeled data set has, anything else has none.
fn dataset(inputs: &[PathBuf]) -> Result<(Dataset, bool)> {
    if let [only] = inputs {
        let is_list =
            only.is_file() && [Some("csv"), Some("parquet")].contains(&only.extension().and_then(|e| e.to_str()));
        if is_list {
            return Ok((Dataset::from_csv(only)?, true));
        }
        if only.is_dir() {
            return folder(only);
        }
    }
    let mut paths = Vec::new();
    for input in inputs {
        if input.is_dir() {
            paths.extend(image_files(input)?);
        } else if input.is_file() {
            paths.push(input.clone());
        } else {
            return Err(DataError::NotFound { path: input.clone() }.into());
        }
    }
    unlabeled(Path::new(""), paths)
}

fn folder(root: &Path) -> Result<(Dataset, bool)> {
    match SplitRule::detect(root) {
        rule @ (SplitRule::Folders | SplitRule::Official { .. }) => {
            Ok((Split::load(root, Some(rule), true)?.merged(), true))
        }
        _ => match Dataset::from_folder(root) {
            Ok(dataset) => Ok((dataset, true)),
            Err(DataError::NoClasses { .. } | DataError::EmptyClasses { .. }) => unlabeled(root, image_files(root)?),
            Err(error) => Err(error.into()),
        },
    }
}

fn unlabeled(root: &Path, paths: Vec<PathBuf>) -> Result<(Dataset, bool)> {
    if paths.is_empty() {
        return Err(DataError::NoImages { path: root.to_owned() }.into());
    }
    Ok((Dataset::unlabeled(root, paths), false))
}
