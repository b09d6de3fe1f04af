//! `kinsight index remove`, `stats`, `check` and `compact`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use kinsight_index::filter::{Condition, Pattern};
use kinsight_index::payload::fields;
use kinsight_index::{Cancel, Cursor, Filter, Index, Point, PointId};
use serde_json::json;

use super::{CheckArgs, CompactArgs, RemoveArgs, StatsArgs};
use crate::progress::counting_bar;

/// Images that are read at a time.
const SCROLL: usize = 1024;

/// `kinsight index remove`
pub(super) fn remove(arguments: &RemoveArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let filter: Option<Filter> = arguments.condition.as_deref().map(str::parse).transpose()?;
    let mut ids = Vec::new();
    for name in &arguments.images {
        let found = named(&index, name)?;
        if found.is_empty() {
            bail!("no image {name} in {}", index.path().display());
        }
        ids.extend(found);
    }
    if let Some(filter) = &filter {
        for_each_point(&index, Some(filter), |point| {
            ids.push(point.id);
            Ok(())
        })?;
    }
    ids.sort_unstable();
    ids.dedup();
    if arguments.dry_run {
        for point in index.store().get(&ids)?.into_iter().flatten() {
            println!("{}  {}", point.id, point.payload.get(fields::PATH).map(|path| path.text()).unwrap_or_default());
        }
        return Ok(());
    }
    let removed = index.writer()?.remove(&ids)?;
    println!("{removed} images removed from {}", index.path().display());
    Ok(())
}

/// Ids of the images called `name`: an id, a path as the index has it, or the path of a file.
fn named(index: &Index, name: &str) -> Result<Vec<PointId>> {
    if let Ok(id) = name.parse::<PointId>() {
        return Ok(index.store().get(&[id])?.into_iter().flatten().map(|point| point.id).collect());
    }
    let mut found = Vec::new();
    for_each_point(index, Some(&Filter::equals(fields::PATH, name)), |point| {
        found.push(point.id);
        Ok(())
    })?;
    if found.is_empty() {
        // A file that is gone has no absolute path; its folder may still have one.
        let path = Path::new(name);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (Ok(folder), Some(file)) = (std::fs::canonicalize(folder), path.file_name()) else { return Ok(found) };
        let wanted = folder.join(file);
        let pattern = Filter::Field {
            name: fields::PATH.to_owned(),
            condition: Condition::Like(Pattern::new(format!("*{}", file.to_string_lossy()))),
        };
        for_each_point(index, Some(&pattern), |point| {
            if kinsight_index::file_of(&point.payload) == wanted {
                found.push(point.id);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// `kinsight index stats`
pub(super) fn stats(arguments: &StatsArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let stats = index.store().stats()?;
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut filled: BTreeMap<String, usize> = BTreeMap::new();
    for_each_point(&index, None, |point| {
        for name in point.payload.keys() {
            *filled.entry(name.clone()).or_default() += 1;
        }
        if let Some(label) = point.payload.get(fields::LABEL) {
            *labels.entry(label.text()).or_default() += 1;
        }
        Ok(())
    })?;
    let manifest = index.manifest();
    if arguments.json {
        let shown = json!({
            "path": index.path().to_string_lossy(),
            "format": manifest.format,
            "fingerprint": manifest.fingerprint,
            "model": manifest.model,
            "store": stats,
            "labels": labels,
            "fields": filled,
            "calibration": manifest.calibration,
        });
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    println!("{}", index.path().display());
    println!("  images        {} of {} labels", stats.points, labels.len());
    println!("  embedding     {} numbers", manifest.fingerprint.embedding);
    println!("  backbone      {} ({})", manifest.model.backbone, manifest.fingerprint.backbone);
    if let (Some(run), Some(hash)) = (&manifest.model.run, &manifest.fingerprint.fine_tuning) {
        println!("  fine-tuning   {} ({hash})", run.display());
    }
    println!("  made by       kinsight {}", manifest.fingerprint.library);
    println!("  on disk       {:.1} MB, {} deleted rows", stats.bytes as f64 / 1e6, stats.tombstones);
    match &stats.graph {
        Some(graph) => println!(
            "  search        HNSW over {} images (M {}, ef {}): recall@10 {:.3} against exact, {} queries",
            graph.rows, graph.connectivity, graph.ef, graph.recall_at_10, graph.recall_queries
        ),
        None => println!("  search        exact"),
    }
    match &manifest.calibration {
        Some(calibration) => println!(
            "  thresholds    duplicate {:.4}, same {:.4}, similar {:.4} (from {} images)",
            calibration.duplicate, calibration.same, calibration.similar, calibration.images
        ),
        None => println!("  thresholds    none; `kinsight calibrate` measures them"),
    }
    println!("  fields");
    for (name, count) in &filled {
        println!("    {name:<14} {count} images");
    }
    Ok(())
}

/// `kinsight index compact`
pub(super) fn compact(arguments: &CompactArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let before = index.store().stats()?;
    let bar = counting_bar("compacting", before.points, "images");
    let compacted = kinsight_index::compact(&index, &|done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    let after = compacted?.store().stats()?;
    println!(
        "removed {} deleted rows: {:.1} MB, {:.1} MB before",
        before.tombstones,
        after.bytes as f64 / 1e6,
        before.bytes as f64 / 1e6
    );
    Ok(())
}

/// `kinsight index check`
pub(super) fn check(arguments: &CheckArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let bar = counting_bar("checking", 0, "images");
    let problems = index.store().check(&|done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let problems = problems?;
    if problems.is_empty() {
        println!("{} images, no damage", index.store().len()?);
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    bail!("{} is damaged in {} places", index.path().display(), problems.len());
}

/// Visits all points that pass the filter.
pub(super) fn for_each_point(
    index: &Index,
    filter: Option<&Filter>,
    mut visit: impl FnMut(Point) -> Result<()>,
) -> Result<()> {
    let mut cursor = Some(Cursor::default());
    while let Some(start) = cursor {
        let (points, next) = index.store().scroll(start, SCROLL, filter, &Cancel::new())?;
        points.into_iter().try_for_each(&mut visit)?;
        cursor = next;
    }
    Ok(())
}
