//! `kinsight index relocate`: the same images in another place.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use kinsight_index::Index;
use kinsight_index::payload::fields;

/// Arguments of `index relocate`.
#[derive(Debug, Args)]
pub(super) struct RelocateArgs {
    /// Folder that the images were indexed from
    old: PathBuf,
    /// Folder that they are in now
    new: PathBuf,
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// Do it although some of the images are not there
    #[arg(long)]
    force: bool,
}

/// `kinsight index relocate`
pub(super) fn run(arguments: &RelocateArgs) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let images = index.writer()?.relocate(&arguments.old, &arguments.new, arguments.force)?;
    println!("{images} images are now in {}", arguments.new.display());
    Ok(())
}

/// Warns of folders that images were indexed from and that are no longer there, and says what to do.
pub(super) fn warn_of_missing(index: &Index) -> Result<()> {
    let missing = |root: &PathBuf| !root.is_dir();
    for root in index.roots()?.iter().filter(|root| missing(root)) {
        let images = images_of(index, root)?;
        if images > 0 {
            let (root, path) = (root.display(), index.path().display());
            eprintln!(
                "warning: {images} images are from {root}, which is not there\nhint: if it was moved: kinsight index relocate \
                 '{root}' NEW --index '{path}'; if it is gone: kinsight index remove --where \"root = '{root}'\" --index '{path}'"
            );
        }
    }
    Ok(())
}

fn images_of(index: &Index, root: &Path) -> Result<u64> {
    let roots = index.store().facets(fields::ROOT, usize::MAX)?;
    Ok(roots.into_iter().filter(|(folder, _)| Path::new(&folder.text()) == root).map(|(_, images)| images).sum())
}
