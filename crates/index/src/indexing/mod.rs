//! Bringing an index up to date with the files, as little as possible at a time.
//!
//! What is new, changed or gone is decided by size and modification time, and where those differ by the content's hash, so
//! that touched and renamed files cost no forward pass. Each batch is on the disk before the next one begins: an
//! interrupted run has lost at most the batch in hand, and the next run finds the rest to do by the same comparison, in the
//! same order. Memory holds one batch, and a line about each image.

mod listing;
mod plan;
pub(crate) mod prepare;

use std::path::PathBuf;

use kinsight_data::{EvalTransform, ImageEmbedder};
use rayon::prelude::*;

pub use listing::{ListedImage, Listing};
pub use prepare::{content_hash, pixel_hash};

use self::plan::{Plan, Task};
use crate::error::{IndexError, Result};
use crate::payload::{Payload, fields};
use crate::point::{Point, PointId};
use crate::store::{LocalStore, VectorStore};
use crate::writer::IndexWriter;

/// What a run of indexing did.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct SyncReport {
    /// Images that were embedded and had not been in the index.
    pub added: usize,
    /// Images that were embedded again because their content changed.
    pub changed: usize,
    /// Images with the content of an indexed one: its vector was taken.
    pub copied: usize,
    /// Images whose label, columns or time changed, but not the content.
    pub updated: usize,
    /// Images that were as they had been.
    pub unchanged: usize,
    /// Images that are gone from the root, or can no longer be read, and were taken out.
    pub removed: usize,
    /// Files that cannot be read, with reasons.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl SyncReport {
    /// Adds what another run did.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.copied += other.copied;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.removed += other.removed;
        self.unreadable.extend(other.unreadable);
    }
}

/// What a run of indexing tells while it works.
#[derive(Clone, Copy, Debug)]
pub enum SyncEvent<'a> {
    /// This many images are to be read, of those listed.
    Planned {
        /// Images to read.
        pending: usize,
        /// Images listed.
        listed: usize,
    },
    /// This many of them are done and on the disk.
    Done(usize),
    /// A file cannot be read.
    Unreadable(&'a std::path::Path, &'a str),
}

impl IndexWriter<'_> {
    /// Brings the index up to date with `listing`: embeds what is new or changed, takes out what is gone.
    ///
    /// `on_event` may stop the run by returning false; what is done by then stays.
    ///
    /// # Errors
    /// [`IndexError::OtherModel`]; [`IndexError::Moved`] if these are the images of a folder that was indexed and is no longer
    /// there; a failure of the model or the disk.
    pub fn sync(
        &self,
        listing: &Listing,
        embedder: &dyn ImageEmbedder,
        batch_size: usize,
        on_event: &mut dyn FnMut(SyncEvent<'_>) -> bool,
    ) -> Result<SyncReport> {
        self.index().require_model(embedder.fingerprint())?;
        let transform = EvalTransform::new(embedder.preprocess())?;
        let store = self.index().local();
        let id_of = store.ids_of(&listing.root)?;
        let ids: Vec<PointId> = listing.items.iter().map(|item| id_of(&item.path())).collect();
        refuse_moved(store, listing)?;
        let plan = Plan::new(store, listing, &ids)?;
        let mut report = SyncReport { unchanged: plan.unchanged, ..SyncReport::default() };
        let mut go_on = on_event(SyncEvent::Planned { pending: plan.tasks.len(), listed: listing.items.len() });
        let mut done = 0;
        for tasks in plan.tasks.chunks(batch_size.max(1)) {
            if !go_on {
                return Ok(report);
            }
            self.sync_batch(tasks, &plan, embedder, &transform, &mut report, on_event)?;
            done += tasks.len();
            go_on = on_event(SyncEvent::Done(done));
        }
        if go_on {
            report.removed += self.remove(&plan.gone)?;
        }
        Ok(report)
    }

    fn sync_batch(
        &self,
        tasks: &[Task<'_>],
        plan: &Plan<'_>,
        embedder: &dyn ImageEmbedder,
        transform: &EvalTransform,
        report: &mut SyncReport,
        on_event: &mut dyn FnMut(SyncEvent<'_>) -> bool,
    ) -> Result<()> {
        let store = self.index().local();
        let outcomes = tasks.par_iter().map(|task| outcome(task, plan, store, transform));
        let outcomes = outcomes.collect::<Result<Vec<Outcome>>>()?;
        let mut points = Vec::with_capacity(tasks.len());
        let mut stale: Vec<PointId> = Vec::new();
        let (mut pixels, mut embedded) = (Vec::new(), Vec::new());
        for (task, outcome) in tasks.iter().zip(outcomes) {
            match outcome {
                Outcome::Keep { of, facts } => {
                    let payload = plan::merged(&task.image.known, &facts, &of.payload);
                    if of.id == task.id {
                        report.updated += 1
                    } else {
                        report.copied += 1
                    }
                    points.push(Point { id: task.id, vector: of.vector, payload });
                }
                Outcome::Embed { facts, pixels: prepared } => {
                    pixels.extend(prepared);
                    embedded.push((task, facts));
                }
                Outcome::Unreadable(reason) => {
                    on_event(SyncEvent::Unreadable(&task.image.file, &reason));
                    report.unreadable.push((task.image.file.clone(), reason));
                    stale.extend(task.known.then_some(task.id));
                }
            }
        }
        let vectors = embed(embedder, pixels, embedded.len())?;
        for ((task, facts), vector) in embedded.into_iter().zip(vectors) {
            if task.known {
                report.changed += 1
            } else {
                report.added += 1
            }
            let payload = plan::merged(&task.image.known, &facts, &Payload::new());
            points.push(Point { id: task.id, vector, payload });
        }
        // In the order of the listing, whatever was embedded and what was not.
        let place = |id: PointId| tasks.iter().position(|task| task.id == id);
        points.sort_by_key(|point| place(point.id));
        self.upsert(&points)?;
        if !stale.is_empty() {
            report.removed += self.remove(&stale)?;
        }
        Ok(())
    }
}

/// What is to be done about one image.
enum Outcome {
    /// The content is that of an indexed image, whose vector can be taken.
    Keep {
        of: Point,
        facts: Payload,
    },
    Embed {
        facts: Payload,
        pixels: Vec<f32>,
    },
    Unreadable(String),
}

/// Refuses to add all images of a moved folder a second time.
fn refuse_moved(store: &LocalStore, listing: &Listing) -> Result<()> {
    let roots = store.roots()?;
    if roots.at(&listing.root.to_string_lossy()).is_some() {
        return Ok(());
    }
    for root in roots.rows.iter().filter(|root| !root.is_uploads && !std::path::Path::new(&root.folder).is_dir()) {
        let ids: Vec<PointId> = listing.items.iter().map(|item| root.id_of(&item.path())).collect();
        let images = store.get(&ids)?.into_iter().flatten().count();
        if images > 0 && images * 2 >= ids.len() {
            let (old, new) = (root.folder.clone().into(), listing.root.clone());
            return Err(IndexError::Moved { old, new, images });
        }
    }
    Ok(())
}

fn outcome(task: &Task<'_>, plan: &Plan<'_>, store: &LocalStore, transform: &EvalTransform) -> Result<Outcome> {
    if task.same_file
        && let Some(of) = store.sound(task.id)?
    {
        return Ok(Outcome::Keep { of, facts: Payload::new() });
    }
    let read = match prepare::read(&task.image.file) {
        Ok(read) => read,
        Err(reason) => return Ok(Outcome::Unreadable(reason)),
    };
    if let Some(hash) = read.content_hash()
        && let Some(of) = plan.with_content(hash)
        && let Some(of) = store.sound(of)?
        // An earlier batch may have replaced that image since the plan was made.
        && of.payload.get(fields::CONTENT_HASH) == Some(hash)
    {
        return Ok(Outcome::Keep { of, facts: read.into_facts() });
    }
    Ok(match read.prepare(transform) {
        Ok(prepared) => Outcome::Embed { facts: prepared.facts, pixels: prepared.pixels },
        Err(reason) => Outcome::Unreadable(reason),
    })
}

/// Embeds `count` prepared images; a row each.
pub(crate) fn embed(embedder: &dyn ImageEmbedder, pixels: Vec<f32>, count: usize) -> Result<Vec<Vec<f32>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let values = embedder.embed(pixels, count).map_err(|error| IndexError::Embedder { message: error.to_string() })?;
    let expected = embedder.fingerprint().embedding;
    if values.len() != count * expected {
        return Err(IndexError::Width { what: "an embedding".to_owned(), found: values.len() / count, expected });
    }
    Ok(values.chunks_exact(expected).map(<[f32]>::to_vec).collect())
}
