//! `kinsight index export`: vectors and fields for other programs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use kinsight_files::AtomicFile;
use kinsight_index::{Filter, Index, Point};
use kinsight_retrieval::io::{NpyWriter, ParquetWriter};

use super::ExportArgs;
use super::maintain::for_each_point;

/// `kinsight index export`
pub(super) fn run(arguments: &ExportArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let filter: Option<Filter> = arguments.condition.as_deref().map(str::parse).transpose()?;
    let out = &arguments.out;
    let dim = index.store().dim();
    let mut names = BTreeSet::new();
    for_each_point(&index, filter.as_ref(), |point| {
        names.extend(point.payload.into_keys());
        Ok(())
    })?;
    let columns: Vec<&str> = std::iter::once("id").chain(names.iter().map(String::as_str)).collect();
    let ending = out.extension().and_then(|ending| ending.to_str());
    let mut table = match ending {
        Some("npy") => Table::beside_npy(out, dim, &columns)?,
        Some("parquet") => Table::Parquet(ParquetWriter::create(out, dim, &columns)?),
        _ => bail!("{}: expected a name ending in .npy or .parquet", out.display()),
    };
    let mut count = 0;
    for_each_point(&index, filter.as_ref(), |point| {
        count += 1;
        table.write(&point, &names)
    })?;
    let files = table.finish(out)?;
    println!("{count} vectors and their fields in {files}");
    Ok(())
}

/// A file of vectors and fields that is being written.
enum Table {
    /// Vectors in `.npy`; id and fields in the same order in the CSV next to it.
    Npy { vectors: NpyWriter, rows: Box<csv::Writer<AtomicFile>> },
    /// Both in one file.
    Parquet(ParquetWriter),
}

impl Table {
    fn beside_npy(out: &Path, dim: usize, columns: &[&str]) -> Result<Self> {
        let mut rows = csv::Writer::from_writer(AtomicFile::create(&out.with_extension("csv"))?);
        rows.write_record(columns)?;
        Ok(Self::Npy { vectors: NpyWriter::create(out, dim)?, rows: Box::new(rows) })
    }

    fn write(&mut self, point: &Point, names: &BTreeSet<String>) -> Result<()> {
        let cell = |name: &String| point.payload.get(name).map(|value| value.text()).unwrap_or_default();
        let texts: Vec<String> = std::iter::once(point.id.to_string()).chain(names.iter().map(cell)).collect();
        match self {
            Self::Npy { vectors, rows } => {
                vectors.write_rows(&point.vector)?;
                rows.write_record(&texts)?;
            }
            Self::Parquet(writer) => writer.write_row(&point.vector, texts.iter().map(String::as_str))?,
        }
        Ok(())
    }

    /// Puts the files in their places and names them.
    fn finish(self, out: &Path) -> Result<String> {
        match self {
            Self::Parquet(writer) => {
                writer.finish()?;
                Ok(out.display().to_string())
            }
            Self::Npy { vectors, rows } => {
                (*rows).into_inner().map_err(|error| error.into_error())?.commit()?;
                vectors.finish()?;
                Ok(format!("{} and {}", out.display(), out.with_extension("csv").display()))
            }
        }
    }
}
