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
//! Files are replaced whole; the log is appended to, synced before each checkpoint, and cut back on resuming. While a process
//! trains into the folder it holds its `lock`, and a second one is refused; readers need none.

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
use std::sync::Arc;

use kinsight_files::{FileError, Lock};

use crate::config::{TrainConfig, read_saved};
use crate::error::TrainError;

pub use card::ModelCard;
pub use checkpoint::{Progress, TrainingState};
pub use cost::{RunCost, RunQueries, peak_memory_bytes};
pub use log::{LogRecord, RunLog, read as read_log};
pub use proxies::ClassProxies;
pub use report::{ReportedRun, RunReport, evidence_of};

pub use selection::{EvalPoint, Figures, SelectionState};
pub use story::RunStory;
pub use tensorboard::EventFile;

/// Paths of a run folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Held while a process trains into the folder.
    _lock: Option<Arc<Lock>>,
}

impl RunFolder {
    /// The folder at `root`, unchecked.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), _lock: None }
    }

    /// Makes an empty run folder for `config`, or checks that the one there can be continued with it; locks it while the
    /// returned value or a clone of it lives.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if it holds another run, or a run and `resume` is false, or cannot be made;
    /// [`TrainError::Lock`] if another process trains into it; [`TrainError::File`].
    pub fn prepare(root: &Path, config: &TrainConfig, resume: bool) -> Result<Self, TrainError> {
        let mut folder = Self::at(root);
        // Once before anything is touched, and again under the lock.
        folder.check(config, resume)?;
        kinsight_files::create_dir_all(root).map_err(|error| TrainError::RunFolder {
            path: root.to_path_buf(),
            message: format!("cannot be created: {}", error.source),
            hint: "choose an --out with write permission".into(),
        })?;
        folder._lock = Some(Arc::new(Lock::acquire(root, "kinsight train")?));
        folder.check(config, resume)?;
        // The settings first: they mark the folder as a run's.
        folder.write(&folder.config(), config.to_toml()?.as_bytes())?;
        kinsight_files::create_dir_all(&folder.checkpoints())?;
        Ok(folder)
    }

    /// Whether a run with these settings may go into the folder as it is.
    fn check(&self, config: &TrainConfig, resume: bool) -> Result<(), TrainError> {
        let fail = |message: String, hint: &str| {
            Err(TrainError::RunFolder { path: self.root.clone(), message, hint: hint.to_string() })
        };
        if self.latest_checkpoint().is_file() || self.model().is_file() {
            if !resume {
                return fail("already contains a run".into(), "continue it with --resume, or choose another --out");
            }
            let differences = self.differences(config)?;
            if !differences.is_empty() {
                let hint = "resume with the settings of its config.toml, or choose another --out";
                return fail(format!("contains a run with other settings:\n  {}", differences.join("\n  ")), hint);
            }
        } else if !self.config().is_file() && self.holds_something() {
            return fail("is not empty and is not a run".into(), "choose another --out");
        }
        Ok(())
    }

    /// Whether anything is in the folder but what a run that was killed at its very start leaves there.
    fn holds_something(&self) -> bool {
        let partial = self.config().with_extension("toml.partial");
        let own = [partial.file_name(), Some("lock".as_ref())];
        match fs::read_dir(&self.root) {
            Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| !own.contains(&Some(&entry.file_name())))),
            Err(_) => false, // none there, or none that can be made: making it says which
        }
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
            .map(|key| format!("{key}: {} in the run, {} now", show(old.get(key)), show(new.get(key))))
            .collect())
    }

    /// Replaces a file of the run.
    ///
    /// # Errors
    /// [`TrainError::File`]; an existing file is untouched then.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
        Ok(kinsight_files::write(path, bytes)?)
    }

    /// Replaces a file of the run by what was turned into JSON.
    ///
    /// # Errors
    /// [`TrainError::File`]; an existing file is untouched then.
    pub fn write_json(&self, path: &Path, json: serde_json::Result<Vec<u8>>) -> Result<(), TrainError> {
        self.write(path, &json.map_err(not_json(path))?)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// The paths in the folder.
macro_rules! files {
    ($($(#[$what:meta])* $name:ident: $path:literal,)*) => {
        impl RunFolder {
            $($(#[$what])* pub fn $name(&self) -> PathBuf { self.root.join($path) })*
        }
    };
}

files! {
    /// Resolved settings.
    config: "config.toml",
    /// One line per event.
    log: "log.jsonl",
    /// Where checkpoints are.
    checkpoints: "checkpoints",
    /// The newest checkpoint.
    latest_checkpoint: "checkpoints/latest.safetensors",
    /// The fine-tuning that was best on the validation classes.
    best_model: "checkpoints/best.safetensors",
    /// Class prompts, when the memory bank is on disk.
    bank: "checkpoints/bank.bin",
    /// Final, selected on validation, and best on test, kept apart.
    selection: "selection.json",
    /// TensorBoard's event file.
    events: "tensorboard/events.out.tfevents.kinsight",
    /// The fine-tuning alone.
    model: "model.safetensors",
    /// The final evaluation.
    metrics: "metrics.json",
    /// What the run took.
    cost: "cost.json",
    /// Scores of each query of the final evaluation.
    queries: "queries.json",
    /// The report.
    report: "report.html",
    /// The model card.
    card: "README.md",
}

/// A value that has no form in JSON.
fn not_json(path: &Path) -> impl FnOnce(serde_json::Error) -> FileError {
    move |error| FileError::at("write", path)(error.into())
}
