//! `kinsight calibrate`: what a score means, measured on labeled images.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;
use kinsight_index::{Calibration, CalibrationRates, GraphSettings, Index, Listing, Samples};
use kinsight_model::EmbeddingModel;
use kinsight_report::calibration::CalibrationPage;
use kinsight_report::run::{Chart, Curve, Quantity};

use super::index::sync;
use crate::context::IndexModelArgs;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::grouped;

const EXAMPLES: &str = "\
Examples:
  From the index's own labeled images:
    kinsight calibrate --index photos.index

  From other labeled images, stricter, with the curves as a page:
    kinsight calibrate labeled/ --index photos.index --same 0.0001 --html thresholds.html

Afterwards `kinsight search` labels each hit as duplicate, same, similar or unknown.";

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CalibrateArgs {
    /// Labeled images: folder of class folders, or CSV with path,label [default: those of the index]
    images: Option<PathBuf>,
    /// The index; the thresholds are stored in it
    #[arg(long)]
    index: PathBuf,
    /// False match rate of duplicates: share of same-label pairs of different images that may pass
    #[arg(long, default_value_t = CalibrationRates::default().duplicate)]
    duplicate: f64,
    /// False match rate of same: share of different-label pairs that may pass
    #[arg(long, default_value_t = CalibrationRates::default().same)]
    same: f64,
    /// False match rate of similar: share of different-label pairs that may pass
    #[arg(long, default_value_t = CalibrationRates::default().similar)]
    similar: f64,
    /// Largest number of images to measure on, sampled evenly
    #[arg(long, default_value_t = 20_000)]
    limit: usize,
    /// Write the curves to this HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Remove the thresholds from the index
    #[arg(long, conflicts_with_all = ["images", "html", "json"])]
    clear: bool,
    #[command(flatten)]
    model: IndexModelArgs,
}

/// Measures, keeps and prints.
pub fn run(arguments: CalibrateArgs) -> Result<()> {
    let CalibrateArgs { images, index, duplicate, same, similar, limit, html, json, clear, model } = arguments;
    let (model, context) = model.resolve()?;
    let index = Index::open(&index)?;
    if clear {
        return Ok(index.writer()?.set_calibration(None)?);
    }
    let is_asked = model.run.is_some() || model.backbone.is_some() || context.compute != Default::default();
    if images.is_none() && (is_asked || !context.on_cpu) {
        bail!(
            "flags for the model are for IMAGES, which it embeds; without them the vectors in the index are measured\nhint: name \
             a folder of images, or leave these flags out"
        );
    }
    let samples = match &images {
        None => Samples::of_store(index.store(), limit)?,
        Some(images) => embedded(images, &index, &context.model_of(&index, model)?, limit)?,
    };
    let rates = CalibrationRates { duplicate, same, similar };
    let calibration = Calibration::measure(&samples, rates)?;
    index.writer()?.set_calibration(Some(calibration.clone()))?;
    if let Some(path) = &html {
        let text = page(&calibration, &index.path().display().to_string()).to_html();
        kinsight_files::write(path, text.as_bytes())?;
        eprintln!("wrote {}", path.display());
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&calibration)?);
    } else {
        print(&calibration);
    }
    Ok(())
}

/// Embeds other images with the model of the index, into an index that is thrown away.
fn embedded(images: &Path, index: &Index, model: &EmbeddingModel, limit: usize) -> Result<Samples> {
    let stop = stop_flag()?;
    let listing = Listing::of(images)?;
    // Beside the index, where there is room for vectors, and not in a folder of the system that may be small.
    let folder = tempfile::Builder::new()
        .prefix(".kinsight-calibrate-")
        .tempdir_in(index.path().parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref()))
        .context("cannot create a folder for the vectors")?;
    let scratch = Index::create(
        &folder.path().join("vectors"),
        model.fingerprint.clone(),
        model.source.clone(),
        GraphSettings::default(),
    )?;
    sync(&scratch.writer()?, &listing, model, 32, stop)?;
    if stop.load(Ordering::Relaxed) {
        return stopped("the thresholds are as they were");
    }
    Ok(Samples::of_store(scratch.store(), limit)?)
}

fn print(calibration: &Calibration) {
    println!(
        "measured on {} images with {} labels: {} pairs with the same label, {} with different labels",
        grouped(calibration.images),
        grouped(calibration.labels),
        grouped(calibration.genuine_pairs as usize),
        grouped(calibration.impostor_pairs as usize)
    );
    let rates = calibration.rates;
    let rows = [
        ("duplicate", calibration.duplicate, rates.duplicate, "same-label pairs of different images"),
        ("same", calibration.same, rates.same, "pairs with different labels"),
        ("similar", calibration.similar, rates.similar, "pairs with different labels"),
    ];
    for (name, threshold, rate, pairs) in rows {
        println!("  {name:<10} from {threshold:.4}  reached by at most {rate} of the {pairs}");
    }
    println!("  unknown    below {:.4}", calibration.similar);
    if let Some(point) = calibration.curve.iter().rev().find(|point| point.threshold >= calibration.same) {
        println!(
            "  {:.1} % of the pairs with the same label reach \"same\"",
            100.0 * (1.0 - point.false_non_match_rate)
        );
    }
    let fewest = 1.0 / rates.same.min(rates.similar);
    if (calibration.impostor_pairs as f64) < 10.0 * fewest {
        eprintln!(
            "warning: {} pairs with different labels are too few for a rate of {}; use more images or a larger rate",
            calibration.impostor_pairs, rates.same
        );
    }
}

fn page(calibration: &Calibration, index: &str) -> CalibrationPage {
    let curve = |name: &str, value: fn(&kinsight_index::calibration::CurvePoint) -> f64| Curve {
        name: name.to_owned(),
        points: calibration.curve.iter().rev().map(|point| (point.threshold, value(point))).collect(),
    };
    let rates = Chart {
        title: "Pairs with different labels above the threshold (false match), with the same below it (miss)".into(),
        x_label: "threshold".into(),
        quantity: Quantity::Share,
        curves: vec![
            curve("false match", |point| point.false_match_rate),
            curve("miss", |point| point.false_non_match_rate),
        ],
        ..Chart::default()
    };
    CalibrationPage {
        title: "What a score means".into(),
        subtitle: format!(
            "{index}: a pair is called duplicate from {:.4}, same from {:.4}, similar from {:.4}; measured on {} images with {} \
             labels, {} pairs. Search with `--threshold same`, or with a score from the curves below.",
            calibration.duplicate,
            calibration.same,
            calibration.similar,
            grouped(calibration.images),
            grouped(calibration.labels),
            grouped((calibration.genuine_pairs + calibration.impostor_pairs) as usize)
        ),
        created: format!("kinsight {}", env!("CARGO_PKG_VERSION")),
        charts: vec![rates],
    }
}
