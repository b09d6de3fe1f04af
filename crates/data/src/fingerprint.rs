//! What identifies an embedding model.
//!
//! Vectors of two models live in unrelated spaces: comparing them gives numbers that look like scores and mean nothing. So
//! an index stores what determines its vectors, and every query and every addition must match it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What determines the embedding of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Hash of the backbone's weights.
    pub backbone: String,
    /// Hash of the fine-tuning's file; `None` for a bare backbone.
    pub fine_tuning: Option<String>,
    /// How images are prepared, as JSON.
    pub preprocess: String,
    /// Size of an embedding.
    pub embedding: usize,
    /// Version of Kinsight. While it is below 1.0, a change of the second number may change embeddings; the third never
    /// does.
    pub library: String,
    /// Arithmetic of the matrix products, `f32` or `bf16`; `None` where an older version did not record it.
    ///
    /// It is part of the identity because bf16 rounds each operand to eight bits: the same image scores below 1 against
    /// itself, and calibrated thresholds shift. The engine and the device are not: fused, composed and GPU results agree
    /// within f32 rounding (about 1e-6 a component), which changes no threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// What is taken from the last block: `class`, `avg` or `map`; `None` where an older version did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<String>,
}

/// Where a model was found when an index was made with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Run folder with the fine-tuning, absolute.
    pub run: Option<PathBuf>,
    /// Name or absolute path of the backbone.
    pub backbone: String,
}

impl Fingerprint {
    /// This library's version, for [`Fingerprint::library`].
    pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

    /// The differences from `other`; empty if vectors of both can be compared. What one side did not record matches.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "none (the bare backbone)".to_owned());
        let recorded =
            |part: &Option<String>, there: &Option<String>| part.clone().or(there.clone()).unwrap_or_default();
        let parts = [
            ("backbone", self.backbone.clone(), other.backbone.clone()),
            ("fine-tuning", text(&self.fine_tuning), text(&other.fine_tuning)),
            ("preprocessing", self.preprocess.clone(), other.preprocess.clone()),
            ("embedding size", self.embedding.to_string(), other.embedding.to_string()),
            ("kinsight", compatible_version(&self.library), compatible_version(&other.library)),
            (
                Difference::PRECISION,
                recorded(&self.precision, &other.precision),
                recorded(&other.precision, &self.precision),
            ),
            ("pooling", recorded(&self.pooling, &other.pooling), recorded(&other.pooling, &self.pooling)),
        ];
        parts
            .into_iter()
            .filter(|(_, expected, found)| expected != found)
            .map(|(what, expected, found)| Difference { what, expected, found })
            .collect()
    }
}

/// One respect in which two models differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which part of the fingerprint.
    pub what: &'static str,
    /// The index's.
    pub expected: String,
    /// The model's.
    pub found: String,
}

impl Difference {
    /// [`Difference::what`] of two precisions: the one difference that another `--precision` removes.
    pub const PRECISION: &str = "precision";
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, expected {}", self.what, self.found, self.expected)
    }
}

/// The part of a version that decides on compatibility: the first number, and the second too while the first is 0.
fn compatible_version(version: &str) -> String {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        (None, _) => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint {
            backbone: "b".into(),
            fine_tuning: Some("f".into()),
            preprocess: "p".into(),
            embedding: 8,
            library: "0.1.0".into(),
            precision: Some("bf16".into()),
            pooling: Some("avg".into()),
        }
    }

    #[test]
    fn every_part_but_the_patch_version_counts() {
        let own = fingerprint();
        assert!(own.differences(&own).is_empty());
        assert!(own.differences(&Fingerprint { library: "0.1.9".into(), ..own.clone() }).is_empty());
        let others = [
            ("backbone", Fingerprint { backbone: "c".into(), ..own.clone() }),
            ("fine-tuning", Fingerprint { fine_tuning: None, ..own.clone() }),
            ("preprocessing", Fingerprint { preprocess: "q".into(), ..own.clone() }),
            ("embedding size", Fingerprint { embedding: 9, ..own.clone() }),
            ("kinsight", Fingerprint { library: "0.2.0".into(), ..own.clone() }),
            ("precision", Fingerprint { precision: Some("f32".into()), ..own.clone() }),
            ("pooling", Fingerprint { pooling: Some("class".into()), ..own.clone() }),
        ];
        for (what, other) in others {
            let differences = own.differences(&other);
            assert_eq!(differences.iter().map(|d| d.what).collect::<Vec<_>>(), [what]);
        }
    }

    #[test]
    fn an_older_fingerprint_still_matches() {
        let text = r#"{"backbone":"b","fine_tuning":"f","preprocess":"p","embedding":8,"library":"0.1.0"}"#;
        let older: Fingerprint = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&older).unwrap(), text);
        assert!(older.differences(&fingerprint()).is_empty());
        assert!(fingerprint().differences(&older).is_empty());
    }
}
