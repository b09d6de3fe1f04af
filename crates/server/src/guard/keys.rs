//! API keys: who may read, who may write.
//!
//! Keys come from the environment or a file, never from a URL. They are compared in constant time, by their hashes, so
//! that neither the time of an answer nor the memory of the process tells a key.

use std::fmt;
use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};

use crate::api::Failure;
use crate::error::ServerError;

/// Shortest key accepted.
const LEAST_LENGTH: usize = 16;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The keys of a server. A write key also reads.
///
/// Without any key everything is allowed, which is for the local machine alone. With write keys alone anyone may read. With
/// read keys alone nobody may write.
#[derive(Clone, Default)]
pub struct Keys {
    read: Vec<[u8; 32]>,
    write: Vec<[u8; 32]>,
}

impl Keys {
    /// Adds a key that may read.
    ///
    /// # Errors
    /// [`ServerError::WeakKey`] if it is shorter than 16 characters, or holds spaces or control characters.
    pub fn add_read(&mut self, key: &str) -> Result<(), ServerError> {
        self.read.push(hashed(key)?);
        Ok(())
    }

    /// Adds a key that may read and write.
    ///
    /// # Errors
    /// [`ServerError::WeakKey`] as for [`Keys::add_read`].
    pub fn add_write(&mut self, key: &str) -> Result<(), ServerError> {
        self.write.push(hashed(key)?);
        Ok(())
    }

    /// Adds the keys of a file of lines `read KEY` and `write KEY`; `#` starts a comment.
    ///
    /// # Errors
    /// [`ServerError::Keys`] names the line, never the key.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ServerError> {
        let failed = |reason: String| ServerError::Keys { path: path.to_path_buf(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let added = match line.split_once(char::is_whitespace) {
                Some(("read", key)) => self.add_read(key.trim()),
                Some(("write", key)) => self.add_write(key.trim()),
                _ => return Err(failed(format!("line {} is neither `read KEY` nor `write KEY`", i + 1))),
            };
            added.map_err(|error| failed(format!("line {}: {error}", i + 1)))?;
        }
        Ok(())
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }

    /// Whether reading needs a key.
    pub fn protects_reading(&self) -> bool {
        !self.read.is_empty()
    }

    pub(crate) fn protects_writing(&self) -> bool {
        !self.is_empty()
    }

    /// Whether a request with `headers` may do what it wants.
    pub(crate) fn check(&self, headers: &HeaderMap, access: Access) -> Result<(), Failure> {
        let needed = match access {
            Access::Read => self.protects_reading(),
            Access::Write => self.protects_writing(),
        };
        if !needed {
            return Ok(());
        }
        let Some(given) = given_key(headers) else { return Err(Failure::no_key(access)) };
        let hash = *blake3::hash(given).as_bytes();
        let writes = contains(&self.write, &hash);
        let reads = contains(&self.read, &hash) | writes;
        match access {
            Access::Read if reads.into() => Ok(()),
            Access::Write if writes.into() => Ok(()),
            Access::Write if reads.into() => Err(Failure::read_only_key()),
            _ => Err(Failure::wrong_key()),
        }
    }
}

/// Never shows a key, nor its hash.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} read, {} write)", self.read.len(), self.write.len())
    }
}

fn hashed(key: &str) -> Result<[u8; 32], ServerError> {
    let length = key.chars().count();
    if length < LEAST_LENGTH || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ServerError::WeakKey { found: length, expected: LEAST_LENGTH });
    }
    Ok(*blake3::hash(key.as_bytes()).as_bytes())
}

/// All keys are compared, whichever fits.
fn contains(keys: &[[u8; 32]], hash: &[u8; 32]) -> Choice {
    keys.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(hash))
}

/// The key of `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
fn given_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "read-key-0123456789";
    const WRITE: &str = "write-key-0123456789";

    fn status(keys: &Keys, header: Option<(&'static str, &str)>, access: Access) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        keys.check(&headers, access).err().map_or(200, |failure| failure.status.as_u16())
    }

    #[test]
    fn each_key_may_do_what_it_is_for() {
        let mut keys = Keys::default();
        keys.add_read(READ).unwrap();
        keys.add_write(WRITE).unwrap();
        let bearer = |key: &str| format!("Bearer {key}");
        for (header, read, write) in [
            (None, 401, 401),
            (Some(("x-api-key", READ.to_string())), 200, 403),
            (Some(("x-api-key", WRITE.to_string())), 200, 200),
            (Some(("authorization", bearer(READ))), 200, 403),
            (Some(("authorization", bearer(WRITE).replace("Bearer", "bearer"))), 200, 200),
            (Some(("authorization", bearer("read-key-012345678"))), 401, 401),
            (Some(("authorization", READ.to_string())), 401, 401),
            (Some(("x-api-key", String::new())), 401, 401),
        ] {
            let header = header.as_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(status(&keys, header, Access::Read), read, "{header:?}");
            assert_eq!(status(&keys, header, Access::Write), write, "{header:?}");
        }
    }

    #[test]
    fn without_read_keys_anyone_reads_and_without_any_anyone_writes() {
        let none = Keys::default();
        assert_eq!(status(&none, None, Access::Write), 200);
        let mut writers = Keys::default();
        writers.add_write(WRITE).unwrap();
        assert_eq!(status(&writers, None, Access::Read), 200);
        assert_eq!(status(&writers, None, Access::Write), 401);
    }

    #[test]
    fn files_are_read_line_by_line_and_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, format!("# ours\nread {READ}\n\nwrite   {WRITE} # the robot\n")).unwrap();
        let mut keys = Keys::default();
        keys.add_file(&path).unwrap();
        assert_eq!(format!("{keys:?}"), "Keys(1 read, 1 write)");
        for (text, message) in [("read short", "line 1: an API key has 5 characters"), ("both x", "line 1 is neither")]
        {
            std::fs::write(&path, text).unwrap();
            let error = Keys::default().add_file(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
