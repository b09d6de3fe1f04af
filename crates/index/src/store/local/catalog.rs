//! What the store knows beside the vectors, in SQLite: which row is which image, payloads, and columns to filter by.
//!
//! ```text
//! points(slot, id, payload, checksum)   one row an image; slot is the row of its vector, payload is JSON
//! dead(slot)                            rows of replaced and removed images
//! field_names(name_id, name)            the payload's fields
//! field_values(name_id, value, slot)    every value of every field, in the order of values
//! state(revision, rows)                 how often it was written, and how many rows the file of vectors has
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, Transaction, params};

use super::slots::SlotSet;
use crate::error::{IndexError, Result, io_error};
use crate::payload::{Payload, Value};
use crate::point::{Point, PointId};

/// Marks the file as ours (`KSIX`).
const APPLICATION_ID: i64 = 0x4b53_4958;
/// Version of the tables.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE points(
    slot INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, payload TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE dead(slot INTEGER PRIMARY KEY);
CREATE TABLE field_names(name_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE field_values(name_id INTEGER NOT NULL, value NOT NULL, slot INTEGER NOT NULL,
    PRIMARY KEY(name_id, value, slot)) WITHOUT ROWID;
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, rows INTEGER NOT NULL);
INSERT INTO state VALUES (1, 0, 0);
";

/// An open catalog.
pub(super) struct Catalog {
    path: PathBuf,
    connection: Connection,
}

/// A point without its vector: the row of the vector, the id, the payload.
pub(super) type Entry = (u32, PointId, Payload);

impl Catalog {
    /// Makes an empty catalog.
    pub fn create(path: &Path) -> Result<()> {
        let connection = Connection::open(path).map_err(failed("create", path))?;
        configure(&connection).map_err(failed("create", path))?;
        let setup = format!(
            "BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
        );
        connection.execute_batch(&setup).map_err(failed("create", path))
    }

    /// Opens the catalog at `path`, which must exist.
    pub fn open(path: &Path) -> Result<Self> {
        // SQLite would say "unable to open database file" for whatever reason.
        std::fs::File::open(path).map_err(io_error("open", path))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
        configure(&connection).map_err(failed("open", path))?;
        let number =
            |pragma: &str| -> rusqlite::Result<i64> { connection.pragma_query_value(None, pragma, |row| row.get(0)) };
        if number("application_id").map_err(failed("open", path))? != APPLICATION_ID {
            return Err(IndexError::corrupt(path, "not a catalog of kinsight"));
        }
        let found = number("user_version").map_err(failed("open", path))?;
        if found != SCHEMA_VERSION {
            let (found, expected) = (found as u64, SCHEMA_VERSION as u64);
            return Err(IndexError::FormatVersion { path: path.to_owned(), found, expected });
        }
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Counts writes.
    pub fn revision(&self) -> Result<i64> {
        self.read(|connection| connection.prepare_cached("SELECT revision FROM state")?.query_row([], |row| row.get(0)))
    }

    /// Rows of the file of vectors that are in use or dead.
    pub fn rows(&self) -> Result<usize> {
        let rows: i64 = self.read(|connection| connection.query_row("SELECT rows FROM state", [], |row| row.get(0)))?;
        Ok(rows as usize)
    }

    /// Revision, rows and dead rows, as of one moment.
    pub fn snapshot(&self) -> Result<(i64, usize, SlotSet)> {
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let (revision, rows): (i64, i64) =
                transaction.query_row("SELECT revision, rows FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut dead = SlotSet::empty(rows as usize);
            let mut statement = transaction.prepare("SELECT slot FROM dead")?;
            for slot in statement.query_map([], |row| row.get(0))? {
                dead.insert(slot?);
            }
            Ok((revision, rows as usize, dead))
        })
    }

    /// Makes the rows from `first` on exist as `points`, in place of points with the same ids.
    pub fn insert(&mut self, first: usize, points: &[Point], checksums: impl Iterator<Item = i64>) -> Result<()> {
        if first + points.len() > u32::MAX as usize {
            return Err(IndexError::setting("the number of rows", first + points.len(), "less than 2^32"));
        }
        let payloads = points.iter().map(|point| self.to_json(&point.payload)).collect::<Result<Vec<_>>>()?;
        self.write(|transaction| {
            let mut names = BTreeMap::new();
            let mut point_row = transaction.prepare_cached("INSERT INTO points VALUES (?1, ?2, ?3, ?4)")?;
            let mut value_row = transaction.prepare_cached("INSERT OR IGNORE INTO field_values VALUES (?1, ?2, ?3)")?;
            for (((point, json), checksum), slot) in points.iter().zip(&payloads).zip(checksums).zip(first as i64..) {
                bury(transaction, point.id)?;
                point_row.execute(params![slot, point.id.to_bytes(), json, checksum])?;
                for (name, value) in &point.payload {
                    let name_id = match names.get(name.as_str()) {
                        Some(&name_id) => name_id,
                        None => *names.entry(name.as_str()).or_insert(name_id(transaction, name)?),
                    };
                    value_row.execute(params![name_id, value, slot])?;
                }
            }
            let rows = (first + points.len()) as i64;
            transaction.execute("UPDATE state SET rows = ?1, revision = revision + 1", [rows])?;
            Ok(())
        })
    }

    /// Takes points out; returns how many there were.
    pub fn remove(&mut self, ids: &[PointId]) -> Result<usize> {
        self.write(|transaction| {
            let mut removed = 0;
            for &id in ids {
                removed += usize::from(bury(transaction, id)?);
            }
            transaction.execute("UPDATE state SET revision = revision + 1", [])?;
            Ok(removed)
        })
    }

    /// Counts a write that changed nothing in here.
    pub fn bump_revision(&mut self) -> Result<()> {
        self.remove(&[]).map(|_| ())
    }

    /// Row and payload of each id.
    pub fn by_ids(&self, ids: &[PointId]) -> Result<Vec<Option<(u32, Payload)>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<Option<(u32, String)>> = self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached("SELECT slot, payload FROM points WHERE id = ?1")?;
            ids.iter()
                .map(|id| statement.query_row([id.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
                .collect()
        })?;
        let entry = |(slot, json): (u32, String)| Ok((slot, self.of_json(&json)?));
        found.into_iter().map(|found| found.map(entry).transpose()).collect()
    }

    /// Id and payload of each row; `None` for a row that is no longer a point.
    pub fn by_slots(&self, slots: &[u32]) -> Result<Vec<Option<(PointId, Payload)>>> {
        let found: Vec<Option<([u8; 16], String)>> = self.read(|connection| {
            // One transaction: each would otherwise lock and unlock the file, which costs more than what it reads.
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached("SELECT id, payload FROM points WHERE slot = ?1")?;
            slots
                .iter()
                .map(|slot| statement.query_row([slot], |row| Ok((row.get(0)?, row.get(1)?))).optional())
                .collect()
        })?;
        let entry = |(id, json): ([u8; 16], String)| Ok((PointId::from_bytes(id), self.of_json(&json)?));
        found.into_iter().map(|found| found.map(entry).transpose()).collect()
    }

    /// Up to `limit` points in the order of their rows, from row `start` on.
    pub fn scroll(&self, start: u64, limit: usize) -> Result<Vec<Entry>> {
        let found: Vec<(u32, [u8; 16], String)> = self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT slot, id, payload FROM points WHERE slot >= ?1 ORDER BY slot LIMIT ?2")?;
            let entry = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            statement.query_map(params![start as i64, limit as i64], entry)?.collect()
        })?;
        found.into_iter().map(|(slot, id, json)| Ok((slot, PointId::from_bytes(id), self.of_json(&json)?))).collect()
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

    /// What is damaged, a line each.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut problems: Vec<String> = self.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
            let lines = statement.query_map([], |row| row.get(0))?;
            lines.filter(|line| line.as_ref().map_or(true, |line: &String| line != "ok")).collect()
        })?;
        let count =
            |sql: &str| -> Result<i64> { self.read(|connection| connection.query_row(sql, [], |row| row.get(0))) };
        let (points, dead, rows) =
            (count("SELECT count(*) FROM points")?, count("SELECT count(*) FROM dead")?, self.rows()? as i64);
        if points + dead != rows {
            problems.push(format!("{points} points and {dead} dead rows do not make up the {rows} rows of vectors"));
        }
        let strays = count("SELECT count(*) FROM field_values WHERE slot NOT IN (SELECT slot FROM points)")?;
        if strays > 0 {
            problems.push(format!("{strays} values belong to no point"));
        }
        Ok(problems)
    }

    /// Runs a query that only reads.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        query(&self.connection).map_err(failed("read", &self.path))
    }

    fn write<T>(&mut self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let path = self.path.clone();
        let run = || {
            let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(failed("write", &path))
    }

    fn to_json(&self, payload: &Payload) -> Result<String> {
        serde_json::to_string(payload).map_err(|error| IndexError::corrupt(&self.path, error.to_string()))
    }

    fn of_json(&self, json: &str) -> Result<Payload> {
        serde_json::from_str(json)
            .map_err(|error| IndexError::corrupt(&self.path, format!("a payload is not readable: {error}")))
    }
}

/// Numbers are stored as REAL, texts as TEXT, so that they order as a filter compares them.
impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Another process may hold the lock for as long as a batch takes to write.
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(32);
    // A write-ahead log lets others read while one writes; FULL makes a commit wait for the disk.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "cache_size", -32_768)
}

/// Takes the point with this id out, if there is one, leaving its row dead.
fn bury(transaction: &Transaction<'_>, id: PointId) -> rusqlite::Result<bool> {
    let found: Option<(i64, String)> = transaction
        .prepare_cached("SELECT slot, payload FROM points WHERE id = ?1")?
        .query_row([id.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((slot, json)) = found else { return Ok(false) };
    // Values are found by name and value; the payload says which they are.
    let payload: Payload = serde_json::from_str(&json).unwrap_or_default();
    let mut value_row =
        transaction.prepare_cached("DELETE FROM field_values WHERE name_id = ?1 AND value = ?2 AND slot = ?3")?;
    for (name, value) in &payload {
        value_row.execute(params![name_id(transaction, name)?, value, slot])?;
    }
    transaction.prepare_cached("DELETE FROM points WHERE slot = ?1")?.execute([slot])?;
    transaction.prepare_cached("INSERT INTO dead VALUES (?1)")?.execute([slot])?;
    Ok(true)
}

fn name_id(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    transaction.prepare_cached("INSERT OR IGNORE INTO field_names(name) VALUES (?1)")?.execute([name])?;
    transaction.prepare_cached("SELECT name_id FROM field_names WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> IndexError {
    let path = path.to_owned();
    move |source| IndexError::Catalog { action, path, source }
}
