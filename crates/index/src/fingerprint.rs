//! Which model an index was made with, and the refusal of any other.
//!
//! Vectors of two models live in unrelated spaces: comparing them gives numbers that look like scores and mean nothing. So
//! an index carries what determines its vectors, and every query and every addition must come from the same.

use std::fmt;

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
}

impl Fingerprint {
    /// This library's version, for [`Fingerprint::library`].
    pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

    /// The differences from `other`, each as (what, here, there); empty if vectors of both can be compared.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<Difference> {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "none (the bare backbone)".to_owned());
        let parts = [
            ("backbone", self.backbone.clone(), other.backbone.clone()),
            ("fine-tuning", text(&self.fine_tuning), text(&other.fine_tuning)),
            ("preprocessing", self.preprocess.clone(), other.preprocess.clone()),
            ("embedding size", self.embedding.to_string(), other.embedding.to_string()),
            ("kinsight", compatible_version(&self.library), compatible_version(&other.library)),
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
        ];
        for (what, other) in others {
            let differences = own.differences(&other);
            assert_eq!(differences.iter().map(|d| d.what).collect::<Vec<_>>(), [what]);
        }
    }
}
