//! Which images could not be read, and when they are too many.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::dataset::Dataset;
use crate::error::DataError;

/// The unreadable files so far, each once with its reason, in the order of the plans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnreadableReport {
    /// Path and reason.
    pub files: Vec<(PathBuf, String)>,
}

/// An image that could not be decoded: its position in the dataset, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub index: usize,
    pub reason: String,
}

/// Counts unreadable images against the number allowed.
///
/// They count when their batch is delivered, not when a worker finds them, so that the report and the batch at which
/// loading stops do not depend on threads.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub report: UnreadableReport,
    known: BTreeSet<usize>,
}

impl Ledger {
    /// Adds the faults that are new.
    ///
    /// # Errors
    /// [`DataError::TooManyUnreadable`] beyond `allowed` files.
    pub(super) fn add(&mut self, faults: Vec<Fault>, dataset: &Dataset, allowed: usize) -> Result<(), DataError> {
        for Fault { index, reason } in faults {
            if self.known.insert(index) {
                self.report.files.push((dataset.items[index].path.clone(), reason));
            }
        }
        match self.report.files.first() {
            Some((first, reason)) if self.known.len() > allowed => Err(DataError::TooManyUnreadable {
                unreadable: self.known.len(),
                total: dataset.len(),
                allowed,
                first: first.clone(),
                first_reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }
}
