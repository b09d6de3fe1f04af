//! The folder of a run: what is in it, and how it survives a crash.
//!
//! ```text
//! RUN/config.toml         resolved settings        RUN/model.safetensors   the fine-tuning alone
//! RUN/log.jsonl           one line an event        RUN/metrics.json        the final evaluation
//! RUN/checkpoints/latest  everything to continue   RUN/README.md           model card
//! RUN/selection.json      final, selected, best    RUN/tensorboard/        event file, if asked for
//! RUN/cost.json           what the run took        RUN/queries.json        the final evaluation, query by query
//! RUN/proxies.safetensors unit proxies of classes
//! ```
//! Every file is written beside its target, synced and renamed; the log is appended and cut back on resuming.

mod card;
mod checkpoint;
mod cost;
mod log;
mod proxies;
mod report;
mod selection;
mod story;
mod tensorboard;

use std::fs;
use std::path::{Path, PathBuf};

use kinsight_model::weights::write_atomically;

use crate::config::{TrainConfig, read_saved};
use crate::error::TrainError;

pub use card::ModelCard;
pub use checkpoint::{Progress, TrainingState};
pub use cost::{RunCost, RunQueries, peak_memory_bytes};
pub use log::{LogRecord, RunLog, read as read_log};
pub use proxies::ClassProxies;
pub use report::{ReportedRun, RunReport};

pub use selection::{EvalPoint, Figures, SelectionState};
pub use story::RunStory;
pub use tensorboard::EventFile;

/// Paths of a run folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder at `root`, whatever is in it.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Makes an empty run folder for `config`, or checks that the one there can be continued with it.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if it holds another run, or a run and `resume` is false, or cannot be written.
    pub fn prepare(root: &Path, config: &TrainConfig, resume: bool) -> Result<Self, TrainError> {
        let folder = Self::at(root);
        let fail = |message: String, hint: &str| {
            Err(TrainError::RunFolder { path: root.to_path_buf(), message, hint: hint.to_string() })
        };
        if folder.latest_checkpoint().is_file() || folder.model().is_file() {
            if !resume {
                return fail("already holds a run".into(), "continue it with --resume, or choose another --out");
            }
            let differences = folder.differences(config)?;
            if !differences.is_empty() {
                let hint = "resume with the settings of its config.toml, or choose another --out";
                return fail(format!("holds a run with other settings:\n  {}", differences.join("\n  ")), hint);
            }
        } else if !folder.config().is_file() && fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
            return fail("is not empty and is not a run".into(), "choose another --out");
        }
        if let Err(error) = fs::create_dir_all(folder.checkpoints()) {
            return fail(format!("cannot be created: {error}"), "choose an --out that you may write to");
        }
        folder.write(&folder.config(), config.to_toml()?.as_bytes())?;
        Ok(folder)
    }

    /// The settings a run was trained with.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if this is not a run folder; [`TrainError::Config`] if its settings cannot be read.
    pub fn read_config(&self) -> Result<TrainConfig, TrainError> {
        let text = fs::read_to_string(self.config()).map_err(|error| TrainError::RunFolder {
            path: self.root.clone(),
            message: format!("has no readable config.toml: {error}"),
            hint: "a run folder is what `kinsight train --out` wrote".into(),
        })?;
        read_saved(&text).map_err(|error| TrainError::Config {
            message: format!("{}: {error}", self.config().display()),
            hint: String::new(),
        })
    }

    /// Settings that decide the result and differ from those of the run in this folder, one line each.
    fn differences(&self, config: &TrainConfig) -> Result<Vec<String>, TrainError> {
        // These change how long a run takes, never what comes out.
        const IRRELEVANT: [&str; 5] =
            ["data.workers", "data.cache_gb", "checkpoint_every_steps", "deterministic", "tensorboard"];
        let decisive = |config: &TrainConfig| -> std::collections::BTreeMap<String, String> {
            config.flattened().into_iter().filter(|(key, _)| !IRRELEVANT.contains(&key.as_str())).collect()
        };
        // A run of an older version may have relative paths.
        let (old, new) = (decisive(&self.read_config()?.with_absolute_paths()?), decisive(config));
        let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let show = |value: Option<&String>| value.map_or("unset", String::as_str).to_string();
        Ok(keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key))
            .map(|key| format!("{key}: the run has {}, asked for {}", show(old.get(key)), show(new.get(key))))
            .collect())
    }

    /// Writes a file of the run atomically.
    ///
    /// # Errors
    /// [`TrainError::Model`] with the operating system's reason.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
        Ok(write_atomically(path, bytes)?)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Resolved settings.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }
    /// One line an event.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }
    /// Where checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }
    /// The newest checkpoint.
    pub fn latest_checkpoint(&self) -> PathBuf {
        self.checkpoints().join("latest.safetensors")
    }
    /// The fine-tuning that was best on the validation classes.
    pub fn best_model(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }
    /// Final, selected on validation, and best on test, kept apart.
    pub fn selection(&self) -> PathBuf {
        self.root.join("selection.json")
    }
    /// Class prompts, when the memory bank is on disk.
    pub fn bank(&self) -> PathBuf {
        self.checkpoints().join("bank.bin")
    }
    /// TensorBoard's event file.
    pub fn events(&self) -> PathBuf {
        self.root.join("tensorboard").join("events.out.tfevents.kinsight")
    }
    /// The fine-tuning alone.
    pub fn model(&self) -> PathBuf {
        self.root.join("model.safetensors")
    }
    /// The final evaluation.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.json")
    }
    /// What the run took.
    pub fn cost(&self) -> PathBuf {
        self.root.join("cost.json")
    }
    /// Scores of each query of the final evaluation.
    pub fn queries(&self) -> PathBuf {
        self.root.join("queries.json")
    }
    /// The report.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
    /// The model card.
    pub fn card(&self) -> PathBuf {
        self.root.join("README.md")
    }
}
