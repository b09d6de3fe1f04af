//! What a run took and what each query scored: stored with its metrics, for comparing runs.

use kinsight_retrieval::QueryScore;
use serde::{Deserialize, Serialize};

/// What a run took; timings are left out of deterministic runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunCost {
    /// Scalars of the whole learner.
    pub parameters: usize,
    /// Scalars that train, proxies and class prompts included.
    pub trainable: usize,
    /// Scalars that train and are kept in `model.safetensors`.
    pub kept: usize,
    /// Seconds of training, evaluations left out.
    pub seconds: Option<f64>,
    /// Images trained on in a second.
    pub images_per_second: Option<f64>,
    /// Largest resident size of the process that finished the run, evaluation included.
    pub peak_memory_bytes: Option<u64>,
}

/// Scores of each query of the final evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunQueries {
    /// Index in the test set of each query.
    pub indices: Vec<usize>,
    /// Its class; empty in runs of versions that did not keep it.
    #[serde(default)]
    pub labels: Vec<i64>,
    /// Its scores.
    pub scores: Vec<QueryScore>,
}

/// The largest resident size of this process so far, in bytes; `None` where the system does not say.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
