//! Embedding what an index lacks of a listing, with a bar.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use kinsight_index::{ImageEmbedder, IndexWriter, Listing, SyncEvent, SyncReport};

use crate::progress::counting_bar;

/// Brings the index up to date with `listing`, or as far as it comes before `stop`; warns of images that cannot be read.
pub fn sync(
    writer: &IndexWriter<'_>,
    listing: &Listing,
    model: &dyn ImageEmbedder,
    batch_size: usize,
    stop: &AtomicBool,
) -> Result<SyncReport> {
    let bar = counting_bar("embedding", 0, "images");
    let report = writer.sync(listing, model, batch_size, &mut |event| {
        match event {
            SyncEvent::Planned { pending, .. } => bar.set_length(pending as u64),
            SyncEvent::Done(done) => bar.set_position(done as u64),
            SyncEvent::Unreadable(path, reason) => {
                bar.suspend(|| eprintln!("warning: skipped {}: {reason}", path.display()));
            }
        }
        !stop.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    Ok(report?)
}
