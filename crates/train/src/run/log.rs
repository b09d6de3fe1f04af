//! `log.jsonl`: one JSON object a line.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::selection::Figures;
use crate::error::TrainError;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogRecord {
    /// One optimizer step.
    Step {
        /// Steps so far, this one included.
        step: u64,
        /// Epoch, from 0.
        epoch: usize,
        /// Loss of the batch.
        loss: f64,
        /// Learning rate of everything but the proxies.
        lr: f64,
        /// Images a second of this step; left out of deterministic logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        images_per_second: Option<f64>,
    },
    /// One evaluation on the test classes.
    Evaluation {
        /// Steps so far.
        step: u64,
        /// Epochs finished.
        epochs: usize,
        /// Recall@1 over all queries.
        recall_at_1: f64,
        /// MAP@R.
        map_at_r: f64,
        /// The same on the validation classes, where there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Figures>,
    },
    /// Something the user should know.
    Warning {
        /// Steps so far.
        step: u64,
        /// What.
        message: String,
    },
}

impl LogRecord {
    /// Whether a run that has done `step` steps and `epochs` whole epochs had written this already.
    fn is_before(&self, at: u64, whole_epochs: usize) -> bool {
        match self {
            Self::Step { step, .. } | Self::Warning { step, .. } => *step <= at,
            Self::Evaluation { step, epochs, .. } => *step <= at && *epochs <= whole_epochs,
        }
    }
}

/// The open log of a run.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    file: File,
}

impl RunLog {
    /// Opens the log for appending after dropping what lies beyond `step` and `epochs`, as left by a run that was killed.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn open_at(path: &Path, step: u64, epochs: usize) -> Result<Self, TrainError> {
        let old = fs::read_to_string(path).unwrap_or_default();
        let is_kept =
            |line: &&str| serde_json::from_str::<LogRecord>(line).is_ok_and(|record| record.is_before(step, epochs));
        // Lines are kept as they are: reading a number and writing it again may change its last digit.
        let text: String = old.lines().filter(is_kept).flat_map(|line| [line, "\n"]).collect();
        kinsight_model::weights::write_atomically(path, text.as_bytes())?;
        let io = |source| TrainError::Io { action: "open", path: path.to_path_buf(), source };
        Ok(Self { path: path.to_path_buf(), file: OpenOptions::new().append(true).open(path).map_err(io)? })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn append(&mut self, record: &LogRecord) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(record).unwrap_or_default();
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|source| TrainError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// The records of a log; lines cut off by a crash are skipped.
pub fn read(path: &Path) -> Vec<LogRecord> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_at_a_step_drops_what_came_later_and_broken_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let record = |step| LogRecord::Warning { step, message: "x".into() };
        let mut log = RunLog::open_at(&path, 0, 0).unwrap();
        (1..=5).for_each(|step| log.append(&record(step)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"event\":\"st").unwrap();
        let mut log = RunLog::open_at(&path, 3, 0).unwrap();
        log.append(&record(4)).unwrap();
        assert_eq!(read(&path), (1..=4).map(record).collect::<Vec<_>>());
    }
}
