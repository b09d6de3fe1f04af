//! Upkeep of the collections, by one thread that has time: it follows what other programs do to an index, counts labels
//! before they are asked for, builds and extends graphs, and compacts.
//!
//! Only what the store's revision shows to have changed is looked at, whichever program wrote it. The heavy part waits until
//! a collection has not been written to for a while, and uses half of the cores. A server that stops does not wait for it: an
//! index survives being left in the middle.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kinsight_index::{Cancel, IndexError, compact};
use tracing::{info, warn};

use super::collection::{Collection, CollectionSpec, Opener};
use super::{Service, ServiceError};
use crate::error::ServerError;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// A collection that was written to within this time is left alone.
const QUIET: Duration = Duration::from_secs(10);
/// Rows of removed images that are worth a compaction: at least this number, and this share of all.
const TOMBSTONES: (usize, f64) = (10_000, 0.2);

/// Stops the thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Maintenance(Cancel);

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What the thread remembers between two looks.
pub(crate) struct Keeper {
    opener: Opener,
    quiet: Duration,
    tombstones: (usize, f64),
    cancel: Cancel,
    known: BTreeMap<String, Known>,
}

/// What is known of a collection.
#[derive(Default)]
struct Known {
    number: u64,
    /// The revision last seen, and since when.
    revision: Option<(u64, Instant)>,
    /// The revision up to which its upkeep is done.
    done: Option<u64>,
    /// What went wrong last, which is logged once.
    fault: Option<String>,
}

/// Starts the thread.
///
/// # Errors
/// If the system gives no thread.
pub(crate) fn start(service: &Arc<Service>, opener: Opener) -> std::io::Result<Maintenance> {
    let (service, mut keeper) = (Arc::downgrade(service), Keeper::new(opener, QUIET, TOMBSTONES));
    let stop = Maintenance(keeper.cancel.clone());
    let threads = (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1);
    let look = move || {
        while keeper.wait() {
            let Some(service) = Weak::upgrade(&service) else { return };
            keeper.look(&service);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "maintenance".into()).build();
    // The pool's threads live until this has returned; what it builds runs on them, not on those that answer.
    pool.map_err(std::io::Error::other)?.spawn(look);
    Ok(stop)
}

impl Keeper {
    pub fn new(opener: Opener, quiet: Duration, tombstones: (usize, f64)) -> Self {
        Self { opener, quiet, tombstones, cancel: Cancel::new(), known: BTreeMap::new() }
    }

    /// Sleeps in short steps, so that the thread of a stopped server does not linger.
    fn wait(&self) -> bool {
        let step = Duration::from_millis(200);
        (0..INTERVAL.as_millis() / step.as_millis()).all(|_| {
            std::thread::sleep(step);
            !self.cancel.is_cancelled()
        })
    }

    /// One look at each collection.
    pub fn look(&mut self, service: &Service) {
        let collections = service.collections.all();
        self.known.retain(|name, _| collections.iter().any(|collection| collection.name() == name));
        for collection in collections {
            let name = collection.name().to_owned();
            let fault = self.tend(service, collection).err();
            let known = self.known.entry(name.clone()).or_default();
            if let Some(reason) = &fault
                && known.fault != fault
            {
                warn!(collection = name, reason, "upkeep failed; what is open still answers");
            } else if fault.is_none() && known.fault.is_some() {
                info!(collection = name, "upkeep goes on");
            }
            known.fault = fault;
        }
        self.opener.tidy();
    }

    /// `Err` says what went wrong; the collection in use still answers.
    fn tend(&mut self, service: &Service, collection: Arc<Collection>) -> Result<(), String> {
        let text = |error: ServiceError| match error {
            ServiceError::Internal { what, cause } => format!("{what}: {cause}"),
            other => other.to_string(),
        };
        if self.follow(service, &collection).map_err(|error| error.to_string())? {
            info!(collection = collection.name(), "index replaced");
            return Ok(());
        }
        let revision = collection.revision().map_err(text)?;
        let known = self.known.entry(collection.name().to_owned()).or_default();
        if known.number != collection.number() {
            *known = Known { number: collection.number(), fault: known.fault.take(), ..Known::default() };
        }
        let (seen, since) = *known.revision.get_or_insert((revision, Instant::now()));
        if seen != revision {
            known.revision = Some((revision, Instant::now()));
        }
        if known.done == Some(revision) {
            return Ok(());
        }
        collection.labels().map_err(text)?;
        if seen != revision || since.elapsed() < self.quiet {
            return Ok(());
        }
        match self.upkeep(&collection) {
            Ok(()) => {
                let revision = collection.revision().map_err(text)?;
                let known = self.known.entry(collection.name().to_owned()).or_default();
                (known.done, known.revision) = (Some(revision), Some((revision, Instant::now())));
                Ok(())
            }
            // Another program writes, or the server stops: the next look tries again.
            Err(IndexError::Busy { .. } | IndexError::Cancelled) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Puts the newer index of a collection in its place, if another program has made one.
    pub fn follow(&mut self, service: &Service, current: &Arc<Collection>) -> Result<bool, ServerError> {
        let Some(index) = current.index().newer()? else { return Ok(false) };
        let same_model = index.manifest().fingerprint == current.index().manifest().fingerprint;
        // A new model is the one that the new manifest names, not the one that the server was started with.
        let spec = match same_model {
            true => current.spec().clone(),
            false => CollectionSpec { run: None, backbone: None, ..current.spec().clone() },
        };
        service.collections.replace(current, self.opener.with_index(&spec, index)?);
        Ok(true)
    }

    /// Compacts where many rows are those of removed images, else makes or extends the graph where that is worth it. Uploads
    /// that come meanwhile are told to come back.
    fn upkeep(&self, collection: &Collection) -> Result<(), IndexError> {
        let index = collection.index();
        let stats = index.store().stats()?;
        let rows = stats.points + stats.tombstones;
        if stats.tombstones >= self.tombstones.0.max(1) && stats.tombstones as f64 >= self.tombstones.1 * rows as f64 {
            // The new index is found by the next look, as one that another program made.
            return compact(index, &|_, _| ()).map(|_| ());
        }
        index.writer()?.optimize(&|_, _| ())
    }
}
