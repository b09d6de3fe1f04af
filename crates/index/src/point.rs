//! A stored image: its identity, embedding and payload.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::payload::Payload;

/// Identity of an image in an index: a function of where it lies, so that indexing the same files in any order, with any
/// number of interruptions, gives the same ids.
///
/// Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(u128);

impl PointId {
    /// The id of the image at `path` (with `/` between its parts) below `root`.
    pub fn of_path(root: &str, path: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        // The length first, so that no two pairs give the same stream.
        hasher.update(&(root.len() as u64).to_le_bytes());
        hasher.update(root.as_bytes());
        hasher.update(path.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(bytes))
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The id's bytes; their order is the order of ids.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 32 hexadecimal digits")]
pub struct ParsePointIdError;

impl FromStr for PointId {
    type Err = ParsePointIdError;

    fn from_str(text: &str) -> Result<Self, ParsePointIdError> {
        // `from_str_radix` alone would take a sign.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParsePointIdError);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| ParsePointIdError)
    }
}

impl Serialize for PointId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An image as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its identity.
    pub id: PointId,
    /// Its embedding, of length one.
    pub vector: Vec<f32>,
    /// What is known of it.
    pub payload: Payload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text_and_bytes() {
        let id = PointId::of_path("/photos", "a/b.jpg");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(PointId::from_bytes(id.to_bytes()), id);
        assert_ne!(id, PointId::of_path("/photosa", "/b.jpg"));
        for text in ["", "12", "+1234567890123456789012345678901", "zz345678901234567890123456789012"] {
            assert_eq!(text.parse::<PointId>(), Err(ParsePointIdError));
        }
    }
}
