//! `kinsight index migrate`: the same images with another model.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use kinsight_index::{Index, Migration};

use super::MigrateArgs;
use super::relocate::warn_of_missing;
use crate::interrupt::{stop_flag, stopped};
use crate::progress::counting_bar;

/// `kinsight index migrate`
pub(super) fn run(arguments: MigrateArgs) -> Result<()> {
    let MigrateArgs { index, model, allow_missing, batch_size, compute } = arguments;
    let context = compute.resolve()?;
    let stop = stop_flag()?;
    let index = Index::open(&index)?;
    let model = context.model(&model.resolve())?;
    let migration = Migration::start(&index, model.fingerprint.clone(), model.source.clone())?;
    let bar = counting_bar("migrating", 0, "images");
    let report = migration.run(&model, batch_size, &mut |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        !stop.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    let report = report?;
    if !report.complete {
        return stopped("the index is as it was, and the same command goes on from here");
    }
    const SHOWN: usize = 5;
    for (path, reason) in report.missing.iter().take(SHOWN) {
        eprintln!("warning: cannot re-embed {}: {reason}", path.display());
    }
    if let Some(more @ 1..) = report.missing.len().checked_sub(SHOWN) {
        eprintln!("warning: and {more} more");
    }
    warn_of_missing(&index)?;
    if !report.missing.is_empty() && !allow_missing {
        bail!(
            "{} images cannot be re-embedded, so the index keeps its old model\nhint: restore the files and run the same command again, or drop these images with --allow-missing",
            report.missing.len()
        );
    }
    let had_thresholds = index.manifest().calibration.is_some();
    let index = migration.finish()?;
    println!(
        "{} images now use {} ({} embedded, {} already done, {} dropped)",
        index.store().len()?,
        model.name,
        report.embedded,
        report.done_before,
        report.missing.len()
    );
    if had_thresholds {
        let path = index.path().display();
        println!("the thresholds were of the old model; measure them again: kinsight calibrate --index {path}");
    }
    Ok(())
}
