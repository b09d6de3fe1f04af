//! API keys: who may read, who may write.
//!
//! Keys come from the environment or a file, never from a URL. They are compared in constant time, by their hashes, so
//! neither response times nor the process's memory reveal a key.

use std::fmt;
use std::path::Path;

use subtle::{Choice, ConstantTimeEq};

use crate::error::ServerError;

/// Shortest key accepted.
const LEAST_LENGTH: usize = 16;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Why a request may not do what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{} needs an API key", match .0 { Access::Read => "reading", Access::Write => "changing a collection" })]
    Missing(Access),
    #[error("this API key is unknown")]
    Unknown,
    #[error("this API key allows reading, but not writing")]
    ReadOnly,
}

/// The keys of a server. A write key also reads.
///
/// Without any key everything is allowed, which is for the local machine only. With only write keys anyone may read. With
/// only read keys no one may write.
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

    /// Adds the keys of a file of lines `read KEY` and `write KEY`. A line that starts with `#` is a comment; elsewhere `#`
    /// is part of the key, as it is in an environment variable.
    ///
    /// # Errors
    /// [`ServerError::Keys`] names the line, never the key.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ServerError> {
        let failed = |reason: String| ServerError::Keys { path: path.to_path_buf(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
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

    /// Whether a client that gave this key, or none, may do what it wants.
    pub(crate) fn check(&self, given: Option<&[u8]>, access: Access) -> Result<(), KeyError> {
        let needed = match access {
            Access::Read => self.protects_reading(),
            Access::Write => self.protects_writing(),
        };
        if !needed {
            return Ok(());
        }
        let hash = *blake3::hash(given.ok_or(KeyError::Missing(access))?).as_bytes();
        let writes = contains(&self.write, &hash);
        let reads = contains(&self.read, &hash) | writes;
        match access {
            Access::Read if reads.into() => Ok(()),
            Access::Write if writes.into() => Ok(()),
            Access::Write if reads.into() => Err(KeyError::ReadOnly),
            _ => Err(KeyError::Unknown),
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

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "read-key-0123456789";
    const WRITE: &str = "write-key-0123456789";

    #[test]
    fn each_key_may_do_what_it_is_for() {
        let mut keys = Keys::default();
        keys.add_read(READ).unwrap();
        keys.add_write(WRITE).unwrap();
        for (key, read, write) in [
            (None, Err(KeyError::Missing(Access::Read)), Err(KeyError::Missing(Access::Write))),
            (Some(READ), Ok(()), Err(KeyError::ReadOnly)),
            (Some(WRITE), Ok(()), Ok(())),
            (Some("read-key-012345678"), Err(KeyError::Unknown), Err(KeyError::Unknown)),
            (Some(""), Err(KeyError::Unknown), Err(KeyError::Unknown)),
        ] {
            let given = key.map(str::as_bytes);
            assert_eq!(keys.check(given, Access::Read), read, "{key:?}");
            assert_eq!(keys.check(given, Access::Write), write, "{key:?}");
        }
    }

    #[test]
    fn without_read_keys_anyone_reads_and_without_any_anyone_writes() {
        assert_eq!(Keys::default().check(None, Access::Write), Ok(()));
        let mut writers = Keys::default();
        writers.add_write(WRITE).unwrap();
        assert_eq!(writers.check(None, Access::Read), Ok(()));
        assert_eq!(writers.check(None, Access::Write), Err(KeyError::Missing(Access::Write)));
    }

    #[test]
    fn files_are_read_line_by_line_and_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, format!("# ours\nread {READ}\n\n  # the robot\nwrite   {WRITE}\n")).unwrap();
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

    #[test]
    fn a_hash_inside_a_key_is_part_of_the_key_and_never_cuts_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "write 0123456789abcdef#rest\n").unwrap();
        let mut of_file = Keys::default();
        of_file.add_file(&path).unwrap();
        let mut of_environment = Keys::default();
        of_environment.add_write("0123456789abcdef#rest").unwrap();
        for keys in [of_file, of_environment] {
            assert_eq!(keys.check(Some(b"0123456789abcdef#rest"), Access::Write), Ok(()));
            assert_eq!(keys.check(Some(b"0123456789abcdef"), Access::Write), Err(KeyError::Unknown));
        }
        // After a space it could be meant as a comment, or as a key with a space: refused with the line.
        std::fs::write(&path, format!("write {WRITE} # the robot\n")).unwrap();
        let error = Keys::default().add_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("without spaces"), "{error}");
    }
}
