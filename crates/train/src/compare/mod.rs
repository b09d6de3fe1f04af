//! Comparing methods: runs of several settings with several seeds on one data set, and what they show together.
//!
//! This module knows the plan, the folders and the figures; the caller trains the runs, each in a separate process so
//! that its memory can be measured.

mod figures;
mod spec;

use std::path::{Path, PathBuf};

use kinsight_report::comparison::Comparison;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use figures::comparison;
pub use spec::{CompareEntry, CompareSpec, PlannedRun};

use crate::error::TrainError;
use crate::run::{RunCost, RunFolder, RunQueries};

/// The figures of one finished run, or of the bare backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFigures {
    /// Metrics by name.
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// Scores of each query.
    pub queries: RunQueries,
    /// What it took.
    pub cost: RunCost,
}

impl RunFigures {
    /// Reads the figures of the run in `folder`; `None` if it is not finished.
    ///
    /// # Errors
    /// [`TrainError`] if a file of a finished run cannot be read.
    pub fn of_run(folder: &RunFolder) -> Result<Option<Self>, TrainError> {
        if ![folder.model(), folder.metrics(), folder.cost(), folder.queries()].iter().all(|path| path.is_file()) {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Metrics {
            metrics: std::collections::BTreeMap<String, f64>,
        }
        let Metrics { metrics } = read_json(&folder.metrics())?;
        Ok(Some(Self { metrics, queries: read_json(&folder.queries())?, cost: read_json(&folder.cost())? }))
    }
}

/// The bare backbone's figures, and what they were measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZeroShot {
    /// Backbone and images, in the caller's words.
    pub of: String,
    /// The figures.
    pub figures: RunFigures,
}

impl ZeroShot {
    /// Reads what was written as JSON.
    ///
    /// # Errors
    /// [`TrainError`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        read_json(path)
    }
}

/// The files of a comparison in its folder.
#[derive(Clone, Debug)]
pub struct CompareFolder {
    root: PathBuf,
}

impl CompareFolder {
    /// The folder at `root`, empty or not.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The bare backbone's figures.
    pub fn zero_shot(&self) -> PathBuf {
        self.root.join("zero_shot.json")
    }

    /// The settings of a run, as asked for.
    pub fn settings(&self, run: &PlannedRun) -> PathBuf {
        self.root.join(&run.slug).join(format!("seed-{}.toml", run.seed))
    }

    /// The folder of a run.
    pub fn run(&self, run: &PlannedRun) -> PathBuf {
        self.root.join(&run.slug).join(format!("seed-{}", run.seed))
    }

    /// Writes the comparison as Markdown, CSV, JSON and HTML; their paths.
    ///
    /// # Errors
    /// [`TrainError`] if a file cannot be written.
    pub fn write(&self, comparison: &Comparison) -> Result<Vec<PathBuf>, TrainError> {
        let path = self.root.join("compare.json");
        let json = serde_json::to_string_pretty(comparison)
            .map_err(|error| kinsight_files::FileError::at("write", &path)(error.into()))?;
        let files = [
            ("compare.md", comparison.to_markdown()),
            ("compare.csv", comparison.to_csv()),
            ("compare.json", json),
            ("compare.html", comparison.to_html()),
        ];
        let mut written = Vec::new();
        for (name, text) in files {
            let path = self.root.join(name);
            kinsight_files::write(&path, text.as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let io = |source| TrainError::Io { action: "read", path: path.to_path_buf(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    serde_json::from_str(&text).map_err(|error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}
