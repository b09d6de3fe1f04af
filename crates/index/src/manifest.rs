//! What an index says of itself: `index.json`, replaced as a whole by one rename.

use std::path::{Path, PathBuf};

use kinsight_data::{Fingerprint, ModelSource};
use kinsight_files::FileError;
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::error::{IndexError, Result};
use crate::store::GraphSettings;

/// Version of the folder's format. It changes when an older kinsight would misread what a newer one wrote.
///
/// Format 1 had no identity and kept the root of each image in its payload. It is read, and brought to format 2 by the first
/// writer.
pub const FORMAT: u64 = 2;
const OLDEST_FORMAT: u64 = 1;

const FILE: &str = "index.json";

/// What `index.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u64,
    /// 128 random bits, made with the index: tells it from any other that lies at the same path later. `None` in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The store in use.
    pub generation: u64,
    /// The model of the vectors.
    pub fingerprint: Fingerprint,
    /// Where that model was, for searching without naming it.
    pub model: ModelSource,
    /// When there is a graph, and how it is made.
    pub graph: GraphSettings,
    /// What scores mean, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

impl Manifest {
    /// Where the manifest of the index at `path` lies.
    pub(crate) fn file(path: &Path) -> PathBuf {
        path.join(FILE)
    }

    /// Reads the manifest of the index at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = Self::file(path);
        let text = std::fs::read_to_string(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                IndexError::NoIndex { path: path.to_owned() }
            }
            _ => FileError::at("read", &file)(source).into(),
        })?;
        let damaged = |error: serde_json::Error| IndexError::corrupt(&file, format!("not an index manifest: {error}"));
        // The version first: a newer manifest may have other keys.
        let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(OLDEST_FORMAT..=FORMAT) => serde_json::from_value(value).map_err(damaged),
            Some(found) => Err(IndexError::FormatVersion { path: path.to_owned(), found, expected: FORMAT }),
            None => Err(IndexError::corrupt(&file, "not an index manifest: it has no format number")),
        }
    }

    /// Puts it in place at `path`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = Self::file(path);
        let text = serde_json::to_string_pretty(self).map_err(|error| IndexError::corrupt(&file, error.to_string()))?;
        Ok(kinsight_files::write(&file, text.as_bytes())?)
    }
}
