//! `kinsight index DIR` and `kinsight index add`: embedding what the index lacks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use kinsight_index::{GraphSettings, ImageEmbedder, Index, Listing, SyncReport};
use kinsight_model::Compute;

use super::relocate::warn_of_missing;
use super::{AddArgs, UpdateArgs, sync};
use crate::commands::settings::use_threads;
use crate::interrupt;
use crate::model_source::{Choice, LoadedModel};
use crate::progress::counting_bar;

/// `kinsight index DIR`
pub(super) fn run(arguments: &UpdateArgs) -> Result<()> {
    use_threads(arguments.compute.threads)?;
    let stop = interrupt::stop_flag()?;
    // Clap asks for both wherever no subcommand is named.
    let (images, index) =
        arguments.images.as_deref().zip(arguments.index.as_deref()).context(
            "nothing to index: name a folder of images, as in `kinsight index photos/ --index photos.index`",
        )?;
    let listing = Listing::of(images)?;
    let choice = Choice::Flags(&arguments.compute);
    let (index, model) =
        open_or_create(index, arguments.run.as_deref(), arguments.backbone.as_deref(), arguments.exact_up_to, &choice)?;
    let report = update(&index, &[listing], &model, arguments.batch_size, &stop)?;
    warn_of_missing(&index)?;
    print(&index, &report, arguments.json, stop.load(Ordering::Relaxed))
}

/// Brings the index at `index` up to date with the images of a folder, making it if it does not exist.
pub fn index_folder(
    images: &Path,
    index: &Path,
    run: Option<&Path>,
    backbone: Option<&str>,
    compute: Compute,
) -> Result<()> {
    let listing = Listing::of(images)?;
    let (index, model) = open_or_create(index, run, backbone, None, &Choice::Settled(compute))?;
    let report = update(&index, &[listing], &model, 32, &Arc::default())?;
    // The server's own output is its address; this is a message.
    eprintln!("{}", summary(&index, &report)?);
    Ok(())
}

/// `kinsight index add`
pub(super) fn add(arguments: &AddArgs) -> Result<()> {
    use_threads(arguments.model.compute.threads)?;
    let stop = interrupt::stop_flag()?;
    let index = Index::open(&arguments.index)?;
    let listings = Listing::of_files(arguments.root.as_deref(), &arguments.images, arguments.label.as_deref())?;
    let model = LoadedModel::named(&index, &arguments.model)?;
    let report = update(&index, &listings, &model, arguments.batch_size, &stop)?;
    print(&index, &report, arguments.json, stop.load(Ordering::Relaxed))
}

fn open_or_create(
    path: &Path,
    run: Option<&Path>,
    backbone: Option<&str>,
    exact_up_to: Option<usize>,
    choice: &Choice<'_>,
) -> Result<(Index, LoadedModel)> {
    if Index::exists(path) {
        let index = Index::open(path)?;
        let model = LoadedModel::of_index(&index, run, backbone, choice)?;
        return Ok((index, model));
    }
    let model = LoadedModel::open(run, backbone, choice)?;
    let mut graph = GraphSettings::default();
    if let Some(images) = exact_up_to {
        graph.exact_values = images.saturating_mul(model.fingerprint().embedding);
    }
    let index = Index::create(path, model.fingerprint().clone(), model.source().clone(), graph)?;
    Ok((index, model))
}

/// Embeds what the index lacks of all listings, and makes the graph where there are enough images for one.
fn update(
    index: &Index,
    listings: &[Listing],
    model: &LoadedModel,
    batch_size: usize,
    stop: &Arc<AtomicBool>,
) -> Result<SyncReport> {
    let writer = index.writer()?;
    let mut total = SyncReport::default();
    for listing in listings {
        total.add(sync(&writer, listing, model, batch_size, stop)?);
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(total);
    }
    let bar = counting_bar("building the graph", 0, "images");
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

fn print(index: &Index, report: &SyncReport, json: bool, stopped: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("{}", summary(index, report)?);
        if let Some(graph) = index.store().stats()?.graph {
            println!(
                "graph over {} images: recall@10 {:.3} against exact search at ef {}",
                graph.rows, graph.recall_at_10, graph.ef
            );
        }
    }
    if stopped {
        eprintln!("stopped; what was embedded is kept, and the same command goes on from there");
    }
    Ok(())
}
