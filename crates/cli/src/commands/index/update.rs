//! `kinsight index DIR` and `kinsight index add`: embedding what the index lacks.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use kinsight_index::{GraphSettings, Index, Listing, SyncReport};
use kinsight_model::{EmbeddingModel, ModelRef};

use super::relocate::warn_of_missing;
use super::{AddArgs, UpdateArgs, sync};
use crate::context::Context;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::counting_bar;

/// `kinsight index DIR`
pub(super) fn run(arguments: UpdateArgs) -> Result<()> {
    let UpdateArgs { images, index, run, backbone, batch_size, exact_up_to, json, compute } = arguments;
    let context = compute.resolve()?;
    let stop = stop_flag()?;
    // Clap asks for both wherever no subcommand is named.
    let (images, index) = images
        .zip(index)
        .context("nothing to index: give a folder of images, as in `kinsight index photos/ --index photos.index`")?;
    let listing = Listing::of(&images)?;
    let (index, model) = open_or_create(&index, ModelRef { run, backbone }, exact_up_to, &context)?;
    let report = update(&index, &[listing], &model, batch_size, stop)?;
    warn_of_missing(&index)?;
    print(&index, &report, json, stop)
}

/// Brings the index at `index` up to date with the images of a folder, making it if it does not exist.
pub fn index_folder(images: &Path, index: &Path, model: ModelRef, context: &Context) -> Result<()> {
    let listing = Listing::of(images)?;
    let (index, model) = open_or_create(index, model, None, context)?;
    let report = update(&index, &[listing], &model, 32, &AtomicBool::new(false))?;
    // The server's own output is its address; this is a message.
    eprintln!("{}", summary(&index, &report)?);
    Ok(())
}

/// `kinsight index add`
pub(super) fn add(arguments: AddArgs) -> Result<()> {
    let AddArgs { images, index, root, label, batch_size, json, model } = arguments;
    let (model, context) = model.resolve()?;
    let stop = stop_flag()?;
    let index = Index::open(&index)?;
    let listings = Listing::of_files(root.as_deref(), &images, label.as_deref())?;
    let model = context.model_of(&index, model)?;
    let report = update(&index, &listings, &model, batch_size, stop)?;
    warn_of_missing(&index)?;
    print(&index, &report, json, stop)
}

fn open_or_create(
    path: &Path,
    model: ModelRef,
    exact_up_to: Option<usize>,
    context: &Context,
) -> Result<(Index, EmbeddingModel)> {
    if Index::exists(path) {
        let index = Index::open(path)?;
        let made = index.manifest().graph.exact_values / index.manifest().fingerprint.embedding.max(1);
        if let Some(asked) = exact_up_to.filter(|asked| *asked != made) {
            anyhow::bail!(
                "--exact-up-to is {asked}, and {} was made with {made}\nhint: it is set when an index is made",
                path.display()
            );
        }
        let model = context.model_of(&index, model)?;
        return Ok((index, model));
    }
    let model = context.model(&model)?;
    let mut graph = GraphSettings::default();
    if let Some(images) = exact_up_to {
        graph.exact_values = images.saturating_mul(model.fingerprint.embedding);
    }
    let index = Index::create(path, model.fingerprint.clone(), model.source.clone(), graph)?;
    Ok((index, model))
}

/// Embeds what the index lacks of all listings, and builds the graph where there are enough images for one.
fn update(
    index: &Index,
    listings: &[Listing],
    model: &EmbeddingModel,
    batch_size: usize,
    stop: &AtomicBool,
) -> Result<SyncReport> {
    let writer = index.writer()?;
    let mut total = SyncReport::default();
    for listing in listings {
        total.add(sync(&writer, listing, model, batch_size, stop)?);
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(total);
    }
    let bar = counting_bar("building the search graph", 0, "images");
    let built = writer.optimize(&|done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    built?;
    Ok(total)
}

/// What was done, in a line.
fn summary(index: &Index, report: &SyncReport) -> Result<String> {
    Ok(format!(
        "{} images in {}: {} added, {} changed, {} copied, {} updated, {} unchanged, {} removed, {} unreadable",
        index.store().len()?,
        index.path().display(),
        report.added,
        report.changed,
        report.copied,
        report.updated,
        report.unchanged,
        report.removed,
        report.unreadable.len()
    ))
}

fn print(index: &Index, report: &SyncReport, json: bool, stop: &AtomicBool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("{}", summary(index, report)?);
        if let Some(graph) = index.store().stats()?.graph {
            println!(
                "search graph over {} images: recall@10 {:.3} at ef {}, compared with exact search",
                graph.rows, graph.recall_at_10, graph.ef
            );
        }
    }
    if stop.load(Ordering::Relaxed) {
        return stopped("what was embedded is kept, and the same command goes on from there");
    }
    Ok(())
}
