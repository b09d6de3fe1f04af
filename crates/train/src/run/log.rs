//! `log.jsonl`: one JSON object a line.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use kinsight_files::{DurableFile, FileError};
use serde::{Deserialize, Serialize};

use super::not_json;
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
    file: DurableFile,
}

impl RunLog {
    /// Opens the log for appending after dropping what lies beyond `step` and `epochs`, as left by a run that was killed.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn open_at(path: &Path, step: u64, epochs: usize) -> Result<Self, TrainError> {
        let is_kept =
            |line: &&[u8]| serde_json::from_slice::<LogRecord>(line).is_ok_and(|record| record.is_before(step, epochs));
        // Lines are kept as they are, also those of versions that wrote numbers in other ways.
        let old = bytes(path)?;
        let kept = old.split(|byte| *byte == b'\n').filter(is_kept);
        kinsight_files::write(path, &kept.flat_map(|line| [line, b"\n"]).collect::<Vec<_>>().concat())?;
        Ok(Self { file: DurableFile::open(path)? })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn append(&mut self, record: &LogRecord) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(record).map_err(not_json(self.file.path()))?;
        line.push(b'\n');
        Ok(self.file.append(&line)?)
    }

    /// Brings the records to the disk: a checkpoint that counts them is written only after that.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn sync(&mut self) -> Result<(), TrainError> {
        Ok(self.file.sync()?)
    }
}

/// The records of a log, none if there is no log; lines cut off by a crash are skipped.
///
/// # Errors
/// [`TrainError::File`] for a log that cannot be read.
pub fn read(path: &Path) -> Result<Vec<LogRecord>, TrainError> {
    let text = bytes(path)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(FileError::at("read", path)),
    }
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
        assert_eq!(read(&path).unwrap(), (1..=4).map(record).collect::<Vec<_>>());
    }
}
