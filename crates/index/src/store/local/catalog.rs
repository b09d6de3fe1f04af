//! What the store knows besides the vectors, in SQLite: which row is which image, payloads, and columns to filter by.
//!
//! ```text
//! identity(id)                          128 random bits of the index, as in its manifest
//! points(slot, id, payload, checksum)   an image: slot is the row of its vector, payload is JSON
//! dead(slot)                            tombstones: rows of replaced and removed images
//! roots(number, key, folder)            folders that images were indexed from; no folder: the index's own uploads
//! field_names(name_id, name)            the payload's fields
//! field_values(name_id, value, slot)    every value of every field, in the order of values
//! state(revision, rows)                 how often it was written, and how many rows the file of vectors has
//! ```
//! Here are the connections that read, all inside one transaction: what they see is of one moment. [`changes`](super::changes)
//! writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kinsight_files::FileError;
use roaring::RoaringBitmap;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};

use super::roots::{Root, Roots};
use crate::cancel::Cancel;
use crate::error::{IndexError, Result};
use crate::payload::{Payload, Value};
use crate::point::PointId;

/// Marks the file as ours (`KSIX`).
pub(super) const APPLICATION_ID: i64 = 0x4b53_4958;
/// Version of the tables; 1 had neither identity nor roots.
pub(super) const SCHEMA_VERSION: i64 = 2;
/// Operations of SQLite between two looks at whether a search was cancelled: well under a millisecond.
const OPERATIONS_A_LOOK: i32 = 10_000;

/// A connection that reads.
pub(super) struct Catalog {
    path: PathBuf,
    connection: Connection,
    /// Set where the folder cannot be written to, so that SQLite cannot coordinate with a writer: the file as it was opened.
    frozen: Option<(SystemTime, u64)>,
}

/// A point without its vector.
pub(super) struct Entry {
    /// Of the vector.
    pub row: u32,
    pub id: PointId,
    pub payload: Payload,
    /// Of the vector.
    pub checksum: i64,
}

/// What a revision is made of, besides points.
pub(super) struct State {
    pub revision: u64,
    pub rows: usize,
    pub tombstones: RoaringBitmap,
    pub roots: Roots,
    /// `None` in format 1.
    pub identity: Option<String>,
}

impl Catalog {
    /// Opens the catalog at `path`, which must exist.
    pub fn open(path: &Path) -> Result<Self> {
        // SQLite would say "unable to open database file" for any reason.
        std::fs::File::open(path).map_err(FileError::at("open", path))?;
        let opened = Self::connect(path, false);
        // Readers share a file with the writer, which they must be able to make, unless nothing can be written at all.
        if let Err(IndexError::Catalog { source, .. }) = &opened
            && matches!(source.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
            && !has_log(path)
        {
            return Self::connect(path, true);
        }
        opened
    }

    fn connect(path: &Path, frozen: bool) -> Result<Self> {
        let failed = IndexError::catalog("open", path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = if frozen {
            Connection::open_with_flags(immutable_uri(path)?, flags | OpenFlags::SQLITE_OPEN_URI)
        } else {
            Connection::open_with_flags(path, flags)
        };
        let connection = connection.map_err(failed)?;
        configure(&connection).map_err(failed)?;
        let frozen = if frozen { Some(stamp(path)?) } else { None };
        require_ours(&connection, path)?;
        Ok(Self { path: path.to_owned(), connection, frozen })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a writer has been at it without being noticed.
    pub fn is_outdated(&self) -> bool {
        self.frozen.is_some_and(|frozen| has_log(&self.path) || stamp(&self.path).ok() != Some(frozen))
    }

    /// Begins the transaction of a snapshot, ends one when `cancel` says so, and returns the revision that it sees.
    pub fn begin(&mut self, cancel: Option<&Cancel>) -> Result<u64> {
        let failed = IndexError::catalog("read", &self.path);
        if let Some(cancel) = cancel.cloned() {
            let handler = self.connection.progress_handler(OPERATIONS_A_LOOK, Some(move || cancel.is_cancelled()));
            handler.map_err(failed)?;
        }
        let revision = || {
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.connection.prepare_cached("SELECT revision FROM state")?.query_row([], |row| row.get::<_, i64>(0))
        };
        revision().map(|revision| revision as u64).map_err(failed)
    }

    /// Ends the transaction; whether the connection can be used again.
    pub fn end(&mut self) -> bool {
        let end = || self.connection.prepare_cached("ROLLBACK")?.execute([]);
        let ended = end().is_ok();
        self.connection.progress_handler(0, None::<fn() -> bool>).is_ok() && ended
    }

    /// The state of the revision in hand. `uploads` is where the index's own pictures lie.
    pub fn state(&self, uploads: &str) -> Result<State> {
        let (revision, rows, tombstones, version) = self.read(|connection| {
            let (revision, rows): (i64, i64) =
                connection.query_row("SELECT revision, rows FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut tombstones = RoaringBitmap::new();
            let mut statement = connection.prepare_cached("SELECT slot FROM dead ORDER BY slot")?;
            for row in statement.query_map([], |row| row.get::<_, u32>(0))? {
                tombstones.insert(row?);
            }
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok((revision, rows, tombstones, version))
        })?;
        let rows = u32::try_from(rows).map_err(|_| {
            IndexError::corrupt(&self.path, format!("damaged: it counts {rows} rows, expected 0 to {}", u32::MAX))
        })?;
        if tombstones.max().is_some_and(|row| row >= rows) {
            return Err(IndexError::corrupt(&self.path, format!("damaged: a tombstone beyond the {rows} rows")));
        }
        let (roots, identity) = if version < 2 { (Roots::default(), None) } else { self.places(uploads)? };
        Ok(State { revision: revision as u64, rows: rows as usize, tombstones, roots, identity })
    }

    fn places(&self, uploads: &str) -> Result<(Roots, Option<String>)> {
        self.read(|connection| Ok((roots(connection, uploads)?, Some(identity(connection)?))))
    }

    /// The identity of the index that it belongs to.
    pub fn identity(&self) -> Result<Option<String>> {
        self.read(|connection| {
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if version < 2 { Ok(None) } else { identity(connection).map(Some) }
        })
    }

    /// The entries of these ids.
    pub fn by_ids(&self, ids: &[PointId]) -> Result<Vec<Option<Entry>>> {
        let keys = ids.iter().map(|id| id.to_bytes());
        self.entries("SELECT slot, id, payload, checksum FROM points WHERE id = ?1", keys)
    }

    /// The rows of those ids that there are.
    pub fn rows_of(&self, ids: &[PointId]) -> Result<Vec<u32>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT slot FROM points WHERE id = ?1")?;
            let mut row = |id: &PointId| statement.query_row([id.to_bytes()], |row| row.get(0)).optional();
            ids.iter().filter_map(|id| row(id).transpose()).collect()
        })
    }

    /// The entries of these rows.
    pub fn by_rows(&self, rows: impl Iterator<Item = u32>) -> Result<Vec<Option<Entry>>> {
        self.entries("SELECT slot, id, payload, checksum FROM points WHERE slot = ?1", rows)
    }

    fn entries<K: rusqlite::ToSql>(&self, sql: &str, keys: impl Iterator<Item = K>) -> Result<Vec<Option<Entry>>> {
        let found: Vec<Option<RawEntry>> = self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            keys.map(|key| statement.query_row([key], raw_entry).optional()).collect()
        })?;
        found.into_iter().map(|found| found.map(|raw| self.entry(raw)).transpose()).collect()
    }

    /// Up to `limit` entries in the order of their rows, from row `start` on.
    pub fn scroll(&self, start: u64, limit: usize) -> Result<Vec<Entry>> {
        let sql = "SELECT slot, id, payload, checksum FROM points WHERE slot >= ?1 ORDER BY slot LIMIT ?2";
        let found: Vec<RawEntry> = self.read(|connection| {
            connection.prepare_cached(sql)?.query_map(params![start as i64, limit as i64], raw_entry)?.collect()
        })?;
        found.into_iter().map(|raw| self.entry(raw)).collect()
    }

    /// Visits row, id and checksum of each point, in the order of rows.
    pub fn for_each_row(&self, mut visit: impl FnMut(u32, PointId, i64)) -> Result<()> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT slot, id, checksum FROM points ORDER BY slot")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(row.get(0)?, PointId::from_bytes(row.get(1)?), row.get(2)?);
            }
            Ok(())
        })
    }

    /// The values of a field with their numbers of points, the most frequent first, as they are stored.
    pub fn facets(&self, field: &str, limit: usize) -> Result<Vec<(Value, u64)>> {
        let sql = "SELECT value, count(*) AS points FROM field_values JOIN field_names USING (name_id)
            WHERE name = ?1 GROUP BY value ORDER BY points DESC, value LIMIT ?2";
        self.read(|connection| {
            let facet = |row: &Row<'_>| Ok((value(row, 0)?, row.get::<_, i64>(1)? as u64));
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            connection.prepare_cached(sql)?.query_map(params![field, limit], facet)?.collect()
        })
    }

    /// What is damaged, a line each.
    pub fn check(&self, rows: usize) -> Result<Vec<String>> {
        let mut problems: Vec<String> = self.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
            let lines = statement.query_map([], |row| row.get(0))?;
            lines.filter(|line| line.as_ref().map_or(true, |line: &String| line != "ok")).collect()
        })?;
        let count =
            |sql: &str| -> Result<i64> { self.read(|connection| connection.query_row(sql, [], |row| row.get(0))) };
        let (points, tombstones) = (count("SELECT count(*) FROM points")?, count("SELECT count(*) FROM dead")?);
        if points + tombstones != rows as i64 {
            problems
                .push(format!("{points} points and {tombstones} tombstones do not make up the {rows} rows of vectors"));
        }
        let strays = count("SELECT count(*) FROM field_values WHERE slot NOT IN (SELECT slot FROM points)")?;
        if strays > 0 {
            problems.push(format!("{strays} field values belong to no image"));
        }
        let unreadable: Vec<String> = self.read(|connection| {
            let mut statement = connection.prepare("SELECT slot, id, payload, checksum FROM points ORDER BY slot")?;
            let entries = statement.query_map([], raw_entry)?.map(|raw| Ok(self.entry(raw?).err()));
            entries.filter_map(|problem: rusqlite::Result<_>| problem.transpose()).map(|e| Ok(e?.to_string())).collect()
        })?;
        problems.extend(unreadable);
        Ok(problems)
    }

    /// Runs a query that only reads.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        query(&self.connection).map_err(IndexError::catalog("read", &self.path))
    }

    fn entry(&self, (row, id, json, checksum): RawEntry) -> Result<Entry> {
        let payload = serde_json::from_str(&json).map_err(|error| {
            IndexError::corrupt(&self.path, format!("the payload of row {row} is not readable: {error}"))
        })?;
        Ok(Entry { row, id: PointId::from_bytes(id), payload, checksum })
    }
}

type RawEntry = (u32, [u8; 16], String, i64);

fn raw_entry(row: &Row<'_>) -> rusqlite::Result<RawEntry> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// A value in a column: numbers are stored as REAL, texts as TEXT, so that they order as a filter compares them.
pub(super) fn value(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Real(number) => Ok(Value::Number(number)),
        other => Ok(Value::Text(other.as_str()?.to_owned())),
    }
}

pub(super) fn roots(connection: &Connection, uploads: &str) -> rusqlite::Result<Roots> {
    let mut statement = connection.prepare_cached("SELECT number, key, folder FROM roots ORDER BY number")?;
    let root = |row: &Row<'_>| {
        let folder: Option<String> = row.get(2)?;
        let is_uploads = folder.is_none();
        let folder = folder.unwrap_or_else(|| uploads.to_owned());
        Ok(Root { number: row.get(0)?, key: row.get(1)?, folder, is_uploads })
    };
    let rows = statement.query_map([], root)?.collect::<rusqlite::Result<_>>()?;
    Ok(Roots { rows })
}

pub(super) fn identity(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT id FROM identity", [], |row| row.get(0))
}

/// Refuses a file that is not a catalog, or one of a version that is not known.
pub(super) fn require_ours(connection: &Connection, path: &Path) -> Result<i64> {
    let number = |pragma: &str| -> Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(IndexError::catalog("open", path))
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(IndexError::corrupt(path, "not a catalog of kinsight"));
    }
    let found = number("user_version")?;
    if !(1..=SCHEMA_VERSION).contains(&found) {
        let (found, expected) = (found as u64, SCHEMA_VERSION as u64);
        return Err(IndexError::FormatVersion { path: path.to_owned(), found, expected });
    }
    Ok(found)
}

/// Settings of every connection.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // A process that recovers the log after a kill holds its lock meanwhile.
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "cache_size", -16_384)
}

/// Whether there is a write-ahead log with something in it: the file alone is not the whole catalog then.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|data| data.is_file() && data.len() > 0)
}

fn stamp(path: &Path) -> Result<(SystemTime, u64)> {
    let read = std::fs::metadata(path).and_then(|data| Ok((data.modified()?, data.len())));
    Ok(read.map_err(FileError::at("read", path))?)
}

fn immutable_uri(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| IndexError::corrupt(path, "the path of an index must be valid UTF-8"))?;
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("file:{escaped}?immutable=1"))
}
