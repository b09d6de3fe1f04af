//! The account of pictures that could not be read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::dataset::Dataset;
use crate::error::DataError;

/// The unreadable files met so far, each once with its reason, in the order in which they were met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnreadableReport {
    /// Path and reason.
    pub files: Vec<(PathBuf, String)>,
}

/// A picture that could not be decoded: its position in the dataset, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub index: usize,
    pub reason: String,
}

/// Counts unreadable pictures against what is allowed.
///
/// Entries are made when a batch is handed out, not when a worker meets them, so that the account and the batch at which
/// loading stops do not depend on the threads.
#[derive(Debug)]
pub(super) struct Ledger {
    faults: Vec<Fault>,
    known: BTreeSet<usize>,
    total: usize,
    allowed: usize,
}

impl Ledger {
    /// An empty account of a dataset of `total` pictures of which `allowed` may be unreadable.
    pub(super) fn new(total: usize, allowed: usize) -> Self {
        Self { faults: Vec::new(), known: BTreeSet::new(), total, allowed }
    }

    /// Enters the faults not known yet.
    pub(super) fn enter(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            if self.known.insert(fault.index) {
                self.faults.push(fault);
            }
        }
    }

    /// Refuses to go on when too many are unreadable.
    pub(super) fn check(&self, dataset: &Dataset) -> Result<(), DataError> {
        match self.faults.first() {
            Some(first) if self.faults.len() > self.allowed => Err(DataError::TooManyUnreadable {
                unreadable: self.faults.len(),
                total: self.total,
                allowed: self.allowed,
                first: path(dataset, first),
                first_reason: first.reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn report(&self, dataset: &Dataset) -> UnreadableReport {
        let files = self.faults.iter().map(|fault| (path(dataset, fault), fault.reason.clone())).collect();
        UnreadableReport { files }
    }
}

fn path(dataset: &Dataset, fault: &Fault) -> PathBuf {
    dataset.items.get(fault.index).map(|item| item.path.clone()).unwrap_or_default()
}
