//! `kinsight index export`: vectors and fields for other programs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kinsight_index::{Filter, Index};
use kinsight_retrieval::io::NpyWriter;

use super::ExportArgs;
use super::maintain::for_each_point;

/// `kinsight index export`
pub(super) fn run(arguments: &ExportArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let filter: Option<Filter> = arguments.condition.as_deref().map(str::parse).transpose()?;
    let out = &arguments.out;
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => write_npy(&index, filter.as_ref(), out),
        _ => bail!("{}: expected a name ending in .npy", out.display()),
    }
}

/// Vectors into `out`; id and fields, a line each in the same order, into the CSV beside it.
fn write_npy(index: &Index, filter: Option<&Filter>, out: &Path) -> Result<()> {
    let mut names = BTreeSet::new();
    for_each_point(index, filter, |point| {
        names.extend(point.payload.into_keys());
        Ok(())
    })?;
    let table = out.with_extension("csv");
    let partial = out.with_extension("csv.partial");
    let mut rows = csv::Writer::from_path(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut vectors = NpyWriter::create(out, index.store().dim())?;
    rows.write_record(std::iter::once("id").chain(names.iter().map(String::as_str)))?;
    for_each_point(index, filter, |point| {
        vectors.write_rows(&point.vector)?;
        let cell = |name: &String| point.payload.get(name).map(|value| value.text()).unwrap_or_default();
        rows.write_record(std::iter::once(point.id.to_string()).chain(names.iter().map(cell)))?;
        Ok(())
    })?;
    let count = vectors.rows();
    rows.flush().with_context(|| format!("cannot write {}", partial.display()))?;
    let file = rows.into_inner().map_err(|error| error.into_error())?;
    file.sync_all().with_context(|| format!("cannot write {}", partial.display()))?;
    vectors.finish()?;
    std::fs::rename(&partial, &table).with_context(|| format!("cannot rename into place {}", table.display()))?;
    println!("{count} vectors in {}, their fields in {}", out.display(), table.display());
    Ok(())
}
